"""How large an image may be: what claims to be larger is refused before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The most that an image may take, by its header and by the length of its file.

    Attributes:
        pixels: height × width; the default is Pillow's own limit against decompression bombs
        file_bytes: of the encoded image; by default as much as the pixels of the other default take
    """

    pixels: int = 178_956_970
    file_bytes: int = 512 << 20

    def check_pixels(self, height: int, width: int) -> None:
        """Raise ValueError for an image of too many pixels, or of none."""
        if height < 1 or width < 1:
            raise ValueError(f"{width}×{height} pixels")
        if height * width > self.pixels:
            most = f"the limit is {self.pixels / 1e6:.5g}"
            raise ValueError(f"{width}×{height} are {height * width / 1e6:,.5g} megapixels, {most}")

    def check_bytes(self, size_bytes: int) -> None:
        """Raise ValueError for a file that is too long, or empty."""
        if not size_bytes:
            raise ValueError("the file is empty")
        if size_bytes > self.file_bytes:
            raise ValueError(
                f"{size_bytes / 2**20:,.0f} MiB, at most {self.file_bytes / 2**20:g} MiB are read"
            )


LIMITS = Limits()

#: For those who look at headers only.
UNLIMITED = Limits(1 << 62, 1 << 62)
