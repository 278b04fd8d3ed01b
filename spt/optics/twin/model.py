"""The forward model: object, illumination, Fresnel diffraction, windows, spectra."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from spt.optics.twin.grid import SpectrumGrid

FINE = 2
"""Samples an object pixel, each way."""

DEGREE = 3
"""Of the polynomials in the place on the camera by which the weight of the light changes."""

NODES = 14
"""Of the maps of each window, down and across."""

POWERS = [(a, b) for a, b in product(range(DEGREE + 1), repeat=2) if a + b <= DEGREE]


@dataclass
class Diffuser:
    """How some diffusers differ from the mean of the set-up; of zeros, the mean.

    Args:
        scale: logs of the factors by which the spectrum is wider, y and x.
        shift: of the object against the light [object px], y and x.
        halo: shift of the light on the camera, y and x; half a frame is 1.
        gain: log of the factor of all spectra.
        blur: log of the factor of a spectrum at the edge of the grid.
        weights: logs of the factors of the light, a map for each window.
    """

    scale: Float[Tensor, "b 2"]
    shift: Float[Tensor, "b 2"]
    halo: Float[Tensor, "b 2"]
    gain: Float[Tensor, " b"]
    blur: Float[Tensor, " b"]
    weights: Float[Tensor, "b k m m"]

    def each(self, change: Callable[[Tensor], Tensor]) -> "Diffuser":
        """The diffusers with every value changed."""
        return Diffuser(**{each.name: change(getattr(self, each.name)) for each in fields(self)})

    def repeated(self, count: int) -> "Diffuser":
        """One diffuser for so many objects."""
        return self.each(lambda value: value.expand(count, *value.shape[1:]))


class Twin(nn.Module):
    """Predicts spectra and small image of the speckle of an object, whatever the diffuser is.

    1. ``T = leak + sigmoid(slope (object - threshold))``: what the object lets through.
    2. ``A = sqrt(T) exp(a(u) + i p(u))``: light behind the object; u in object px.
    3. ``I = |Fresnel(A)|^2``: intensity on the diffuser, with ``exp(-i pi zeta f^2)``; zeta in object px^2.
    4. ``F_c(d) = sum_u I(u) W_c(u) exp(-2 pi i g d.u)``: what a window c of the camera sees of it; lag d in camera px,
       g in cycles a camera px for each object px. ``W_c = exp(B + sum_k b_k(x_c) V_k + M_c)``, b_k the monomials of the
       window's place x_c.
    5. ``S_c(q) = MTF(q) gain_c sum_d |F_c(d)|^2 / F_c(0)^2 taper(d) cos(2 pi q.d) + noise_c(q)``; the result is
       ``log(floor + S)``.

    The small image is ``log sum_u I(u) exp(B + sum_k b_k(x) V_k)`` at its blocks x, over its mean.

    Args:
        side: of the objects [px].
        grid: of the spectra.
        pitch: first guess of g.
        grey: whether an object lets through the share of light that its grey value says, ``T = leak + object``. No
            fit finds this; it is for objects that the set-up could show.
    Source: van Cittert-Zernike theorem for a rough diffuser, Goodman, Speckle Phenomena in Optics (2007), chapter 4.
        Differs: the weights of the windows and the corrections are free maps.
    """

    def __init__(self, side: int, grid: SpectrumGrid, pitch: float, grey: bool = False) -> None:
        super().__init__()
        self.side, self.grid, self.grey = side, grid, grey
        self.field = FINE * side + 2 * round(0.29 * FINE * side)
        """Samples of the field on the diffuser, with room for diffraction around the object."""
        windows, size = grid.windows**2, grid.size
        self.threshold, self.slope = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(3.0))
        self.leak = nn.Parameter(torch.tensor(-6.0))
        self.scale = nn.Parameter(torch.full((2,), math.log(pitch)))
        self.distance = nn.Parameter(torch.tensor(0.0))
        self.amplitude, self.phase = nn.Parameter(torch.zeros(28, 28)), nn.Parameter(torch.zeros(NODES, NODES))
        self.light = nn.Parameter(torch.zeros(28, 28))
        self.tilted = nn.Parameter(torch.zeros(len(POWERS) - 1, 20, 20))
        self.weights = nn.Parameter(torch.zeros(windows, NODES, NODES))
        self.gain, self.dark = nn.Parameter(torch.zeros(windows)), nn.Parameter(torch.full((windows,), -4.0))
        self.transfer = nn.Parameter(torch.zeros(size))
        self.blur = nn.Parameter(torch.tensor(0.0))
        self.noise, self.noise_gain = nn.Parameter(torch.full(size, -6.0)), nn.Parameter(torch.zeros(windows))
        self.blocks, self.stray = nn.Parameter(torch.zeros(grid.blocks**2)), nn.Parameter(torch.tensor(-6.0))

    def forward(
        self, objects: Float[Tensor, "b n n"], diffuser: Diffuser | None = None
    ) -> tuple[Float[Tensor, "b k p q"], Float[Tensor, "b m m"]]:
        """Logs of spectra and of the small image.

        Args:
            objects: in [0, 1].
            diffuser: how the diffuser of each object differs; None for the mean.
        """
        known = diffuser or self.mean_diffuser(len(objects))
        intensity = self.intensity(objects, known.shift)
        places = self.grid.places()[None] + known.halo[:, None]
        light = self._map(self.light)
        tilted = self._maps(self.tilted)
        bases = monomials(places)
        weights = torch.einsum("bkt,tyx->bkyx", bases, tilted) + self._maps(self.weights) + self._maps(known.weights)
        seen = intensity[:, None] * (light + weights).exp()
        spectra = self._spectra(seen, known)
        small = self._small(intensity, light, tilted)
        bright = self._bright(small)
        contrast = (bright / (bright + self.dark.exp())).square() * self.gain.exp()
        model = spectra * (contrast * known.gain[:, None].exp())[..., None, None] * self._transfer(known)
        noise = (self.noise + self.noise_gain[:, None, None]).exp() / bright[..., None, None]
        return (self.grid.floor + (model + noise).clamp(min=0)).log(), small.log()

    @property
    def pitch(self) -> tuple[float, float]:
        """Width of an object pixel in the spectrum, y and x [cycles per camera px]."""
        y, x = self.scale.detach().exp().tolist()
        return y, x

    @property
    def fresnel_distance(self) -> float:
        """Wavelength times distance of object and diffuser [object px^2]."""
        return self.distance.detach().exp().item()

    def mean_diffuser(self, count: int) -> Diffuser:
        """No difference, for so many objects."""
        two, one = torch.zeros(count, 2), torch.zeros(count)
        return Diffuser(two, two, two, one, one, torch.zeros(count, self.grid.windows**2, NODES, NODES))

    def intensity(self, objects: Float[Tensor, "b n n"], shift: Float[Tensor, "b 2"]) -> Float[Tensor, "b f f"]:
        """Light on the diffuser; the object is shifted, the illumination is not."""
        fine = F.interpolate(objects[:, None], scale_factor=2 * FINE, mode="bicubic")[:, 0]
        through = fine.clamp(0, 1) if self.grey else torch.sigmoid(self.slope.exp() * (fine - self.threshold))
        through = F.avg_pool2d(through, 2) + self.leak.exp()
        room = (self.field - FINE * self.side) // 2
        through = F.pad(through.sqrt(), (room,) * 4)
        field = torch.polar(through * self._map(self.amplitude).exp(), self._map(self.phase).expand_as(through))
        f = torch.fft.fftfreq(self.field, 1 / FINE)
        fy, fx = f[:, None], f
        phase = -math.pi * self.distance.exp() * (fy.square() + fx.square())
        moved = -2 * math.pi * (fy * shift[:, 0, None, None] + fx * shift[:, 1, None, None])
        spread = torch.fft.fft2(field) * torch.polar(torch.ones(()), phase + moved)
        return torch.view_as_real(torch.fft.ifft2(spread)).square().sum(-1)

    def _spectra(self, seen: Float[Tensor, "b k f f"], known: Diffuser) -> Float[Tensor, "b k p q"]:
        grid = self.grid
        u = (torch.arange(self.field) - (self.field - 1) / 2) / FINE
        pitch = (self.scale + known.scale).exp()
        y, x = torch.arange(-grid.lags, grid.lags + 1.0), torch.arange(grid.lags + 1.0)
        down = -2 * math.pi * pitch[:, 0, None, None] * y[:, None] * u
        across = -2 * math.pi * pitch[:, 1, None, None] * x[:, None] * u
        cy, sy, cx, sx = (wave[:, None] for wave in (down.cos(), down.sin(), across.cos().mT, across.sin().mT))
        c, s = seen @ cx, seen @ sx
        power = (cy @ c - sy @ s).square() + (cy @ s + sy @ c).square()
        total = seen.sum((-2, -1), keepdim=True)
        return grid.transform(power / total.square() * grid.taper())

    def _small(
        self, intensity: Float[Tensor, "b f f"], light: Float[Tensor, "f f"], tilted: Float[Tensor, "t f f"]
    ) -> Float[Tensor, "b m m"]:
        """Light on the blocks of the camera, over its mean."""
        coarse = F.avg_pool2d(intensity[:, None], FINE)[:, 0].flatten(1)
        maps = F.avg_pool2d(tilted[:, None], FINE)[:, 0].flatten(1)
        base = F.avg_pool2d(light[None, None], FINE).flatten()
        weights = (base + monomials(self.grid.block_places()) @ maps).exp()
        seen = coarse @ weights.T * self.blocks.exp()
        seen = seen / seen.mean(1, keepdim=True) + self.stray.exp()
        return (seen / seen.mean(1, keepdim=True)).unflatten(1, (self.grid.blocks, -1))

    def _bright(self, small: Float[Tensor, "b m m"]) -> Float[Tensor, "b k"]:
        """Mean light of each window: of the blocks that it holds."""
        at, half = self.grid.block_places(), self.grid.window
        held = ((self.grid.places()[:, None] - at).abs() <= half).all(-1).to(small)
        return small.flatten(1) @ (held / held.sum(1, keepdim=True)).T

    def _transfer(self, known: Diffuser) -> Float[Tensor, "b 1 p q"]:
        """What pixels and blur leave of each frequency."""
        fy, fx = self.grid.frequencies(0)[:, None], self.grid.frequencies(1)
        square = fy.square() + fx.square()
        pixel = (torch.sinc(fy) * torch.sinc(fx)).square()
        edge = square / square.max()
        return pixel * (self.transfer + (self.blur + known.blur)[:, None, None, None] * edge).exp()

    def _map(self, nodes: Float[Tensor, "m m"]) -> Float[Tensor, "f f"]:
        return self._maps(nodes[None])[0]

    def _maps(self, nodes: Float[Tensor, "*b m m"]) -> Float[Tensor, "*b f f"]:
        """Smooth maps of the field from their nodes: cubic splines."""
        matrix = _bicubic(nodes.shape[-1], self.field).to(nodes)
        return matrix @ nodes @ matrix.T


def monomials(places: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b t"]:
    """All monomials of y and x to the third degree but the constant."""
    return torch.stack([places[..., 0] ** a * places[..., 1] ** b for a, b in POWERS if a + b > 0], -1)


@lru_cache(maxsize=16)
def _bicubic(nodes: int, samples: int) -> Float[Tensor, "s m"]:
    """Cubic interpolation between nodes, the first and the last at the edges."""
    with torch.inference_mode(False):
        rows = torch.eye(nodes)[None, :, None].expand(1, nodes, 4, nodes)
        return F.interpolate(rows, (4, samples), mode="bicubic", align_corners=True)[0, :, 0].T.contiguous()
