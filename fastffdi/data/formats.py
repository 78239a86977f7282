"""The image formats that are read, recognised by the first bytes of a file, never by its name."""

from __future__ import annotations

#: Nothing else is given to a decoder. HEIC is left out: of the wheels that decode it, Pillow's plugin brings
#: along libraries under the GPL, and nothing else here needs them.
FORMATS = ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF", "AVIF")

#: Names that end so, in upper or lower case, are taken for images without a look inside.
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
    *(".gif", ".avif"),
)

#: As many of its first bytes say what a file is; those of a WebP its size as well.
HEAD_BYTES = 64

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    PNG_SIGNATURE: "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
}
_BMP_HEADER_BYTES = {12, 16, 40, 52, 56, 64, 108, 124}
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def format_of(head: bytes) -> str | None:
    """The format, one of FORMATS, of the file that begins with `head`, HEAD_BYTES of it; None for others."""
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    # Two letters alone begin many a text.
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "BMP"
    return "AVIF" if _brands(head) & _AVIF_BRANDS else None


def unknown(head: bytes) -> str:
    """Why a file that begins with `head` has no format, for a message."""
    if not head:
        return "the file is empty"
    if _brands(head) & _HEIC_BRANDS:
        return "HEIC, which no loader reads; convert it to PNG"
    return f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image"


def _brands(head: bytes) -> set[bytes]:
    """Of an ISO media file, what its first box, `ftyp`, says it may be read as; else nothing."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
