"""Things to look at through a scattering medium: sparse, dense, or from files; no thing is in two splits."""

from spt.data.objects.faces import FaceObjects, draw_face
from spt.data.objects.glyphs import GLYPHS, draw_glyph
from spt.data.objects.overlaid import BlackAndWhite, OverlaidObjects
from spt.data.objects.source import ObjectSource
from spt.data.objects.sparse import SparseObjects, draw_object
from spt.data.objects.stored import StoredObjects
from spt.data.objects.strokes import draw_strokes

__all__ = [
    "GLYPHS",
    "BlackAndWhite",
    "FaceObjects",
    "ObjectSource",
    "OverlaidObjects",
    "SparseObjects",
    "StoredObjects",
    "draw_face",
    "draw_glyph",
    "draw_object",
    "draw_strokes",
]
