"""SF-XL, SVOX and a set by VPR-datasets-downloader, as they lie on disk: the labels are the file names."""

from __future__ import annotations

from pathlib import Path

from replicas.pictures import write_picture

#: Shaped like the names of SF-XL: zone, degrees, panorama, heading and month, no tile, nothing behind the extension.
SF_XL = {
    "database": (
        "@0545981.19@4184971.70@10@S@037.81098@-122.47762@rtCs5-P_9NGDzUbKyzStWA@@174@@@@201409@@.jpg",
        "@0545981.19@4184971.70@10@S@037.81098@-122.47762@rtCs5-P_9NGDzUbKyzStWA@@204@@@@201409@@.jpg",
        "@0546500.00@4185000.00@10@S@037.81121@-122.47172@aB_c-0123456789abcdefgh@@000@@@@201605@@.jpg",
    ),
    "queries_v1": ("@0545985.00@4184975.00@10@S@037.81101@-122.47758@@@@@@@@@.jpg",),
    "queries_v2": ("@0546490.00@4185000.00@10@S@037.81121@-122.47183@@@@@@@@@.jpg",),
    "queries_night": ("@0546510.00@4185010.00@10@S@037.81130@-122.47161@@@@@@@@night@.jpg",),
}
#: SVOX: a gallery, and one folder of queries for each kind of weather.
SVOX = {
    "gallery": ("@0620000.00@5735000.00@30@U@051.75291@-001.26143@@@@@@@20140505@@.jpg",),
    "queries": ("@0620010.00@5735000.00@30@U@051.75291@-001.26129@@@@@@@20150213@@.jpg",),
    "queries_night": ("@0620024.00@5735007.00@30@U@051.75297@-001.26108@@@@@@@20141216@night@.jpg",),
}


def write_sf_xl(root: Path) -> Path:
    """``root/test`` with a database that is split over sub-folders, as the archives of SF-XL unpack."""
    for folder, names in SF_XL.items():
        for name in names:
            inside = name[1:11] if folder == "database" else ""
            write_picture(root / "test" / folder / inside / name)
    return root


def write_svox(root: Path) -> Path:
    for folder, names in SVOX.items():
        for name in names:
            write_picture(root / "images" / "test" / folder / name)
    return root
