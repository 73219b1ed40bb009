"""Mutual nearest neighbours of ragged sets as Triton kernels; only ``create`` of the backend imports what needs Triton.

* ``kernels``: the kernels, in Triton's language;
* ``launch``: configurations and the sequence of launches for many pairs of packed sets, without a synchronisation;
* ``packing``: checked token sets to packed sets;
* ``offline``: what the compiler makes of every kernel for a GPU that need not be there.
"""
