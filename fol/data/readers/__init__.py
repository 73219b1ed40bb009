"""Readers of the formats in which places and ground truth come: one file per format.

A reader turns what a file says into a ``Label`` (or, for ground truth, into indices) and raises ``DataError`` naming
file, line and field for what it cannot accept. ``fol.data`` is the door for other rooms.
"""
