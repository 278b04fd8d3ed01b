"""Leaks between the splits of a set: pairs that are evaluated and were seen before."""

from spt.data.leaks.check import check_choice, check_leaks, check_simulated_objects
from spt.data.leaks.leak import Leak, Place
from spt.data.leaks.search import find_leaks

__all__ = ["Leak", "Place", "check_choice", "check_leaks", "check_simulated_objects", "find_leaks"]
