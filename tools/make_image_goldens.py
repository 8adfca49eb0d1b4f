#!/usr/bin/env python3
"""Make the picture corpus tests/unit/data/images/ and its goldens by Pillow and Keras.

usage: make_image_goldens.py [FOLDER]

Every variant of the formats that filTags reads, tiny, and damaged files. golden.json says of each file what
Pillow makes of it: "ok" with CRC-32s of the RGB bytes, the L bytes and the tensors after NEAREST and each
preprocessing, or "error". "unsupported": Pillow reads it, filTags names the format and refuses it.
Review the diff of golden.json after a run; needs Pillow, numpy and Keras.
"""
import io
import json
import os
import struct
import sys
import warnings
import zlib

import numpy as np
from PIL import Image, features

TENSOR_HEIGHT, TENSOR_WIDTH = 23, 17
warnings.simplefilter("ignore")


def picture(width, height, channels, seed=0, depth=8):
    """Smooth colours with some noise: [height, width, channels]"""
    rng = np.random.Generator(np.random.Philox(seed + 1000 * width + height))
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin((x * (c + 1) + y * (3 - c)) / 7.0 + c) for c in range(channels)]
    values = np.clip(np.stack(waves, -1) * 0.5 + 0.5 + rng.normal(0, 0.06, (height, width, channels)), 0, 1)
    return np.round(values * (2 ** depth - 1)).astype(np.uint16 if depth > 8 else np.uint8)


def image(width, height, mode="RGB", seed=0):
    n = {"L": 1, "RGB": 3, "RGBA": 4, "CMYK": 4, "LA": 2}[mode]
    pixels = picture(width, height, n, seed)
    return Image.fromarray(pixels[..., 0] if n == 1 else pixels, mode)


def saved(im, format, **options):
    out = io.BytesIO()
    im.save(out, format, **options)
    return out.getvalue()


# ---------------------------------------------------------------- PNG, by hand: Pillow doesn't write all of it
def chunk(name, data, checksum=None):
    if checksum is None:
        checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def pack_bits(samples, bits):
    """[rows, n] -> one bytes a row"""
    if bits == 16:
        return [row.astype(">u2").tobytes() for row in samples]
    if bits == 8:
        return [row.astype(np.uint8).tobytes() for row in samples]
    digits = (samples[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in digits]


def filtered(rows, filters, bytes_per_pixel):
    out, previous = b"", None
    for index, row in enumerate(rows):
        kind = filters[index % len(filters)]
        up = previous or bytes(len(row))
        left = bytes(bytes_per_pixel) + row
        up_left = bytes(bytes_per_pixel) + up
        line = bytearray()
        for i, value in enumerate(row):
            a, b, c = left[i], up[i], up_left[i]
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line.append((value - (0, a, b, (a + b) // 2, paeth)[kind]) & 255)
        out += bytes([kind]) + bytes(line)
        previous = row
    return out


def png(pixels, bits, color_type, interlaced=False, palette=None, before=b"", after=b"", n_idat=1,
        filters=(0, 1, 2, 3, 4), change_raw=None):
    height, width, channels = pixels.shape
    bpp = max(1, bits * channels // 8)
    raw = b""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for x, y, dx, dy in passes if interlaced else [(0, 0, 1, 1)]:
        part = pixels[y::dy, x::dx]
        if part.size:
            raw += filtered(pack_bits(part.reshape(part.shape[0], -1), bits), filters, bpp)
    if change_raw:
        raw = change_raw(raw)
    data = zlib.compress(raw, 9)
    step = -(-len(data) // n_idat)
    idat = b"".join(chunk(b"IDAT", data[i:i + step]) for i in range(0, len(data), step))
    head = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, int(interlaced))
    plte = chunk(b"PLTE", palette) if palette is not None else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + plte + before + idat + after + chunk(b"IEND", b"")


def palette_of(n, seed=5):
    return np.random.Generator(np.random.Philox(seed)).integers(0, 256, 3 * n).astype(np.uint8).tobytes()


def png_files():
    for bits in (1, 2, 4, 8, 16):
        for interlaced in (False, True):
            grey = picture(19, 13, 1, bits, bits)
            name = "png_grey%d%s.png" % (bits, "_interlaced" if interlaced else "")
            yield name, png(grey, bits, 0, interlaced, before=chunk(b"tRNS", b"\0\1") if bits == 4 else b"")
            if bits <= 8:
                indices = picture(21, 11, 1, 40 + bits, bits)
                trns = chunk(b"tRNS", bytes(range(0, 250, 25))[:2 ** bits])
                yield name.replace("grey", "palette"), png(indices, bits, 3, interlaced, palette_of(2 ** bits))
                name_trns = name.replace("grey", "palette_trns")
                yield name_trns, png(indices, bits, 3, interlaced, palette_of(2 ** bits), trns)
            else:
                few = (picture(13, 9, 1, 3, 9) * 1).astype(np.uint16)     # around 255, where Pillow clips
                yield name.replace("grey16", "grey16_dark"), png(few, 16, 0, interlaced)
            if bits >= 8:
                for color_type, n, kind in ((2, 3, "rgb"), (4, 2, "grey_alpha"), (6, 4, "rgba")):
                    yield name.replace("grey", kind), png(picture(17, 12, n, bits, bits), bits, color_type, interlaced)
    rgb = picture(20, 14, 3, 9)
    yield "png_rgb_trns.png", png(rgb, 8, 2, before=chunk(b"tRNS", b"\0\1\0\2\0\3"))
    yield "png_many_idat.png", png(rgb, 8, 2, n_idat=9)
    yield "png_text_after.png", png(rgb, 8, 2, after=chunk(b"tEXt", b"Comment\0after the data"))
    gamma, size = chunk(b"gAMA", struct.pack(">I", 220000)), chunk(b"pHYs", struct.pack(">IIB", 1, 2, 1))
    yield "png_gamma_and_size.png", png(rgb, 8, 2, before=gamma + size)
    yield "png_1x1.png", png(picture(1, 1, 3), 8, 2)
    yield "png_1x1_interlaced.png", png(picture(1, 1, 3), 8, 2, True)
    yield "png_3x2_interlaced.png", png(picture(3, 2, 3), 8, 2, True)
    yield "png_short_palette.png", png(picture(9, 9, 1, 1, 4), 4, 3, palette=palette_of(5))
    yield "png_no_palette.png", png(picture(9, 9, 1, 1, 4), 4, 3)
    yield "png_rgb_with_palette.png", png(rgb, 8, 2, palette=palette_of(16))
    yield "png_icc.png", saved(Image.fromarray(rgb), "PNG", icc_profile=b"not really a profile")
    # damaged in ways that Pillow forgives or doesn't
    whole = png(rgb, 8, 2, n_idat=3)
    first = whole.index(b"IDAT")
    yield "bad_png_idat_crc.png", whole[:-20] + bytes([whole[-20] ^ 255]) + whole[-19:]
    flip = first + 20
    yield "bad_png_idat_data.png", whole[:flip] + bytes([whole[flip] ^ 64]) + whole[flip + 1:]
    yield "bad_png_ihdr_crc.png", whole[:29] + bytes([whole[29] ^ 1]) + whole[30:]
    yield "bad_png_no_iend.png", whole[:-12]
    yield "bad_png_cut_in_iend.png", whole[:-5]
    yield "bad_png_cut_in_checksum.png", whole[:-14]
    yield "bad_png_cut_in_adler.png", whole[:-18]
    yield "bad_png_cut_in_data.png", whole[:len(whole) * 2 // 3]
    yield "bad_png_cut_in_header.png", whole[:20]
    yield "bad_png_signature_only.png", whole[:8]
    yield "bad_png_no_idat.png", whole[:first - 4] + whole[-12:]
    yield "bad_png_filter.png", png(rgb, 8, 2, change_raw=lambda raw: b"\x07" + raw[1:])
    yield "bad_png_few_rows.png", png(rgb, 8, 2, change_raw=lambda raw: raw[:100])
    yield "bad_png_extra_rows.png", png(rgb, 8, 2, change_raw=lambda raw: raw + bytes(200))
    yield "bad_png_cut_in_text.png", png(rgb, 8, 2, after=chunk(b"tEXt", bytes(100)))[:-40]
    yield "bad_png_short_gamma.png", png(rgb, 8, 2, before=chunk(b"gAMA", b"\1"))
    yield "bad_png_bit_depth.png", whole[:8] + chunk(b"IHDR", whole[16:24] + b"\3" + whole[25:29]) + whole[33:]
    bomb = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    yield "bad_png_bomb.png", whole[:8] + chunk(b"IHDR", bomb) + whole[33:]


# ---------------------------------------------------------------- JPEG
def patched(data, at, value):
    return data[:at] + bytes([value]) + data[at + 1:]


def jpeg_files():
    rgb = image(37, 29)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        for progressive in (False, True):
            name = "jpeg_%s%s.jpg" % (subsampling.replace(":", ""), "_progressive" if progressive else "")
            yield name, saved(rgb, "JPEG", quality=88, subsampling=subsampling, progressive=progressive)
    yield "jpeg_restart.jpg", saved(rgb, "JPEG", quality=80, restart_marker_blocks=2)
    yield "jpeg_grey.jpg", saved(image(30, 21, "L"), "JPEG", quality=85)
    yield "jpeg_grey_progressive.jpg", saved(image(30, 21, "L"), "JPEG", quality=85, progressive=True)
    yield "jpeg_keep_rgb.jpg", saved(rgb, "JPEG", quality=85, keep_rgb=True)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    yield "jpeg_exif_rotated.jpg", saved(rgb, "JPEG", quality=85, exif=exif)
    for size in ((1, 1), (1, 33), (33, 1), (2, 3), (8, 8), (9, 17)):
        yield "jpeg_%dx%d.jpg" % size, saved(image(*size), "JPEG", quality=90)
    square = saved(image(32, 32), "JPEG", quality=85, subsampling="4:2:2")
    sof = square.index(b"\xff\xc0")
    yield "jpeg_440.jpg", patched(square, sof + 11, 0x12)      # scrambled, yet whole: as many blocks either way
    cmyk = saved(image(26, 19, "CMYK"), "JPEG", quality=90)
    adobe = cmyk.index(b"\xff\xee")
    yield "jpeg_cmyk.jpg", cmyk
    yield "jpeg_ycck.jpg", patched(cmyk, adobe + 15, 2)
    yield "jpeg_cmyk_no_adobe.jpg", cmyk[:adobe] + cmyk[adobe + 16:]
    yield "jpeg_cmyk_progressive.jpg", saved(image(26, 19, "CMYK"), "JPEG", quality=90, progressive=True)
    whole = saved(rgb, "JPEG", quality=88)
    yield "jpeg_trailing_bytes.jpg", whole + b"trailing bytes" * 5
    yield "bad_jpeg_no_eoi.jpg", whole[:-2]
    yield "bad_jpeg_cut_last_byte.jpg", whole[:-1]
    yield "bad_jpeg_cut_in_last_row.jpg", whole[:-12]
    yield "bad_jpeg_cut_in_middle.jpg", whole[:len(whole) * 3 // 4]
    yield "bad_jpeg_cut_in_tables.jpg", whole[:300]
    yield "bad_jpeg_cut_in_header.jpg", whole[:15]
    yield "bad_jpeg_start_only.jpg", whole[:3]
    yield "bad_jpeg_progressive_cut.jpg", saved(rgb, "JPEG", quality=88, progressive=True)[:-40]
    sof = whole.index(b"\xff\xc0")
    yield "bad_jpeg_12_bits.jpg", patched(whole, sof + 4, 12)
    yield "bad_jpeg_2_components.jpg", patched(whole, sof + 9, 2)
    yield "bad_jpeg_height_0.jpg", whole[:sof + 5] + b"\0\0" + whole[sof + 7:]
    yield "bad_jpeg_bomb.jpg", whole[:sof + 5] + b"\xea\x60\xea\x60" + whole[sof + 9:]
    yield "bad_jpeg_no_huffman.jpg", whole.replace(b"\xff\xc4", b"\xff\xe5")
    yield "bad_jpeg_no_quantization.jpg", whole.replace(b"\xff\xdb", b"\xff\xe5")


# ---------------------------------------------------------------- TIFF, by hand
def tiff(pixels, bits, photometric, order="<", compression=1, tile=None, rows_per_strip=None, planar=1, extra=None,
         palette=None, orientation=None, sample_format=None, fill_order=None, xmp=None, predictor=None):
    """pixels: [height, width, samples]; tile: (height, width)"""
    height, width, samples = pixels.shape
    block_h, block_w = tile or (rows_per_strip or height, width)

    def encode(block):
        if bits in (16, 32):
            kind = {None: "u", 1: "u", 2: "i", 3: "f"}[sample_format]
            raw = block.astype(order + kind + str(bits // 8)).tobytes()
        else:
            raw = b"".join(pack_bits(block.reshape(block.shape[0], -1).astype(np.int64), bits))
        if fill_order == 2:
            raw = bytes(int("{:08b}".format(b)[::-1], 2) for b in raw)
        return zlib.compress(raw) if compression == 8 else raw

    blocks = []
    for plane in ([slice(c, c + 1) for c in range(samples)] if planar == 2 else [slice(None)]):
        for y in range(0, height, block_h):
            for x in range(0, width, block_w):
                block = pixels[y:y + block_h, x:x + block_w, plane]
                if tile:
                    block = np.pad(block, ((0, block_h - block.shape[0]), (0, block_w - block.shape[1]), (0, 0)))
                blocks.append(encode(block))
    data, offsets = b"", []
    for block in blocks:
        offsets.append(8 + len(data))
        data += block + bytes(len(block) % 2)
    where, lengths = (324, 325) if tile else (273, 279)
    tags = [(256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * samples), (259, 3, [compression]),
            (262, 3, [photometric]), (277, 3, [samples]), (where, 4, offsets), (lengths, 4, [len(b) for b in blocks])]
    tags += [(322, 4, [block_w]), (323, 4, [block_h])] if tile else [(278, 4, [block_h])]
    for tag, kind, values in ((266, 3, fill_order), (274, 3, orientation), (284, 3, planar), (317, 3, predictor)):
        if values is not None:
            tags.append((tag, kind, [values]))
    if extra is not None:
        tags.append((338, 3, extra))
    if palette is not None:
        tags.append((320, 3, palette))
    if sample_format is not None:
        tags.append((339, 3, [sample_format] * samples))
    if xmp is not None:
        tags.append((700, 1, list(xmp)))
    tags.sort()
    start = 8 + len(data)
    directory, rest = struct.pack(order + "H", len(tags)), b""
    rest_at = start + 2 + 12 * len(tags) + 4
    for tag, kind, values in tags:
        packed = b"".join(struct.pack(order + {1: "B", 3: "H", 4: "I"}[kind], v) for v in values)
        if len(packed) <= 4:
            field = packed.ljust(4, b"\0")
        else:
            field = struct.pack(order + "I", rest_at + len(rest))
            rest += packed + bytes(len(packed) % 2)
        directory += struct.pack(order + "HHI", tag, kind, len(values)) + field
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(order + "I", start) + data + directory + bytes(4) + rest


def tiff_palette(bits):
    return [int(v) for v in np.random.Generator(np.random.Philox(7)).integers(0, 65536, 3 * 2 ** bits)]


def tiff_files():
    for order, end in (("<", "le"), (">", "be")):
        for bits in (1, 2, 4, 8, 16):
            grey = picture(19, 13, 1, bits, bits)
            yield "tiff_grey%d_%s.tif" % (bits, end), tiff(grey, bits, 1, order)
            if bits <= 8:
                yield "tiff_white0_%d_%s.tif" % (bits, end), tiff(grey, bits, 0, order, rows_per_strip=4)
                yield "tiff_palette%d_%s.tif" % (bits, end), tiff(grey, bits, 3, order, palette=tiff_palette(bits))
                yield "tiff_deflate%d_%s.tif" % (bits, end), tiff(grey, bits, 1, order, 8, rows_per_strip=5)
        yield "tiff_grey16_dark_%s.tif" % end, tiff(picture(13, 9, 1, 3, 9), 16, 1, order)
        signed, real = picture(13, 9, 1, 3, 9).astype(int) - 100, picture(13, 9, 1, 3, 9) * 1.3 - 50
        yield "tiff_grey16_signed_%s.tif" % end, tiff(signed, 16, 1, order, sample_format=2)
        yield "tiff_grey32_signed_%s.tif" % end, tiff(signed, 32, 1, order, sample_format=2)
        yield "tiff_float_%s.tif" % end, tiff(real, 32, 1, order, sample_format=3)
        prefix = "unsupported_" if order == ">" else ""      # Pillow swaps the bytes once too often
        yield prefix + "tiff_float_deflate_%s.tif" % end, tiff(real, 32, 1, order, 8, sample_format=3)
        rgb16 = picture(14, 11, 3, 2, 16)
        yield "tiff_rgb16_%s.tif" % end, tiff(rgb16, 16, 2, order)
        yield "tiff_rgb16_deflate_%s.tif" % end, tiff(rgb16, 16, 2, order, 8)
        yield "tiff_rgba16_%s.tif" % end, tiff(picture(14, 11, 4, 2, 16), 16, 2, order, extra=[2])
        yield "tiff_rgba16_premultiplied_%s.tif" % end, tiff(picture(14, 11, 4, 2, 16), 16, 2, order, extra=[1])
        yield "tiff_cmyk16_%s.tif" % end, tiff(picture(14, 11, 4, 2, 16), 16, 5, order)
    yield "tiff_grey32_unsigned.tif", tiff(picture(13, 9, 1, 3, 9), 32, 1)
    grey12 = picture(19, 13, 1, 12, 12) // 9
    yield "tiff_grey12.tif", tiff(grey12, 12, 1)
    yield "tiff_white0_16.tif", tiff(picture(13, 9, 1, 3, 9), 16, 0)
    for bits in (1, 4, 8):
        grey = picture(19, 13, 1, bits, bits)
        yield "tiff_fill_order2_%d.tif" % bits, tiff(grey, bits, 1, fill_order=2)
        yield "tiff_fill_order2_deflate_%d.tif" % bits, tiff(grey, bits, 1, fill_order=2)
    rgb = picture(27, 22, 3, 3)
    rgba = picture(27, 22, 4, 3)
    for name, extra in (("none", None), ("unspecified", [0]), ("premultiplied", [1]), ("alpha", [2])):
        yield "tiff_rgba_%s.tif" % name, tiff(rgba, 8, 2, extra=extra)
    yield "tiff_rgbxx.tif", tiff(picture(9, 8, 5, 3), 8, 2, extra=[0, 0])
    yield "tiff_rgbax.tif", tiff(picture(9, 8, 5, 3), 8, 2, extra=[2, 0])
    yield "tiff_grey_alpha.tif", tiff(picture(9, 8, 2, 3), 8, 1, extra=[2])
    yield "tiff_grey_unspecified.tif", tiff(picture(9, 8, 2, 3), 8, 1, extra=[0])
    yield "bad_tiff_grey_premultiplied.tif", tiff(picture(9, 8, 2, 3), 8, 1, extra=[1])
    yield "tiff_palette_alpha.tif", tiff(picture(9, 8, 2, 3), 8, 3, extra=[2], palette=tiff_palette(8))
    yield "tiff_cmyk.tif", tiff(rgba, 8, 5)
    yield "tiff_cmykx.tif", tiff(picture(9, 8, 5, 3), 8, 5, extra=[0])
    for compression, name in ((1, "raw"), (8, "deflate")):
        yield "tiff_tiles_%s.tif" % name, tiff(rgb, 8, 2, compression=compression, tile=(16, 16))
        yield "tiff_tiles_one_%s.tif" % name, tiff(rgb, 8, 2, compression=compression, tile=(32, 32))
        yield "tiff_planar_%s.tif" % name, tiff(rgb, 8, 2, compression=compression, planar=2)
        yield "tiff_planar_strips_%s.tif" % name, tiff(rgb, 8, 2, compression=compression, planar=2, rows_per_strip=7)
        yield "tiff_planar_tiles_%s.tif" % name, tiff(rgb, 8, 2, compression=compression, planar=2, tile=(16, 16))
        yield "tiff_planar_cmyk_%s.tif" % name, tiff(rgba, 8, 5, compression=compression, planar=2)
        yield "tiff_planar_rgbx_%s.tif" % name, tiff(rgba, 8, 2, compression=compression, planar=2, extra=[0])
        yield "tiff_planar_rgba_%s.tif" % name, tiff(rgba, 8, 2, compression=compression, planar=2, extra=[2])
    yield "tiff_planar16_deflate.tif", tiff(picture(14, 11, 3, 2, 16), 16, 2, compression=8, planar=2)
    yield "unsupported_tiff_planar16.tif", tiff(picture(14, 11, 3, 2, 16), 16, 2, planar=2)
    for orientation in range(1, 9):
        yield "tiff_orientation%d.tif" % orientation, tiff(rgb, 8, 2, orientation=orientation)
    yield "tiff_orientation6_deflate.tif", tiff(rgb, 8, 2, compression=8, orientation=6)
    yield "tiff_orientation_xmp.tif", tiff(rgb, 8, 2, xmp=b'<x tiff:Orientation="3"/>')
    colour = Image.fromarray(rgb)
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"):
        yield "tiff_%s.tiff" % compression, saved(colour, "TIFF", compression=compression)
    yield "tiff_lzw_grey.tiff", saved(image(30, 21, "L"), "TIFF", compression="tiff_lzw")
    yield "tiff_lzw_predictor.tiff", saved(colour, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    yield "tiff_group4.tiff", saved(image(30, 21, "L").convert("1"), "TIFF", compression="group4")
    yield "tiff_ycbcr_jpeg.tiff", saved(colour.convert("YCbCr"), "TIFF", compression="jpeg")
    yield "tiff_ycbcr_lzw.tiff", saved(colour.convert("YCbCr"), "TIFF", compression="tiff_lzw")
    yield "unsupported_tiff_ycbcr.tiff", saved(colour.convert("YCbCr"), "TIFF")
    yield "bad_tiff_lab.tif", tiff(rgb, 8, 8)
    yield "tiff_two_pictures.tiff", saved(colour, "TIFF", save_all=True, append_images=[image(9, 9)])
    yield "tiff_big.tiff", saved(colour, "TIFF", big_tiff=True)
    whole = saved(colour, "TIFF")
    yield "bad_tiff_cut_in_pixels.tif", whole[:-100]
    yield "bad_tiff_cut_in_directory.tif", whole[:40]
    yield "bad_tiff_cut_in_header.tif", whole[:6]
    lzw = saved(colour, "TIFF", compression="tiff_lzw")
    yield "bad_tiff_lzw_cut.tif", lzw[:len(lzw) // 2]
    deflate = bytearray(tiff(rgb, 8, 2, compression=8))
    deflate[100] ^= 255
    yield "bad_tiff_deflate.tif", bytes(deflate)
    yield "bad_tiff_24_bits.tif", tiff(np.zeros((4, 4, 1), int), 24, 1)
    yield "bad_tiff_photometric.tif", tiff(rgb, 8, 40)


# ---------------------------------------------------------------- BMP and PNM
def bmp(width, height, bits, rows, palette=b"", compression=0, masks=b"", n_colors=0, header=40, top_down=False,
        offset=None):
    size = struct.pack("<IHHHH", 12, width, height, 1, bits) if header == 12 else struct.pack(
        "<IiiHHIIiiII", header, width, -height if top_down else height, 1, bits, compression, 0, 0, 0, n_colors, 0)
    info = size + masks if header == 40 else (size + masks).ljust(header, b"\0")
    start = 14 + len(info) + len(palette) if offset is None else offset
    body = b"".join(row + bytes(-len(row) % 4) for row in rows)
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(palette) + len(body), 0, 0, start) + info + palette + body


def bmp_palette(n):
    raw = palette_of(n)
    return b"".join(raw[3 * i:3 * i + 3] + b"\0" for i in range(n))


def bmp_files():
    for bits in (1, 4, 8):
        indices = picture(19, 13, 1, bits, bits)[..., 0]
        rows = pack_bits(indices, bits)
        yield "bmp_palette%d.bmp" % bits, bmp(19, 13, bits, rows, bmp_palette(2 ** bits))
        yield "bmp_palette%d_top_down.bmp" % bits, bmp(19, 13, bits, rows, bmp_palette(2 ** bits), top_down=True)
        yield "bmp_palette%d_core.bmp" % bits, bmp(19, 13, bits, rows, palette_of(2 ** bits), header=12)
        few = pack_bits(np.minimum(indices, 1), bits)
        yield "bmp_palette%d_few_colors.bmp" % bits, bmp(19, 13, bits, few, bmp_palette(2), n_colors=2)
        yield "bmp_palette%d_bad_index.bmp" % bits, bmp(19, 13, bits, rows, bmp_palette(1), n_colors=1)
        yield "bmp_palette%d_offset.bmp" % bits, bmp(19, 13, bits, rows, bmp_palette(2 ** bits), offset=54)
    rgb = picture(19, 13, 3, 4)
    rows = [row.tobytes() for row in rgb]
    yield "bmp_rgb.bmp", bmp(19, 13, 24, rows)
    yield "bmp_rgb_top_down.bmp", bmp(19, 13, 24, rows, top_down=True)
    yield "bmp_rgb_v5.bmp", bmp(19, 13, 24, rows, header=124)
    yield "bmp_rgb_core.bmp", bmp(19, 13, 24, rows, header=12)
    rows4 = [row.tobytes() for row in picture(19, 13, 4, 4)]
    yield "bmp_rgb32.bmp", bmp(19, 13, 32, rows4)
    layouts = [(0xff0000, 0xff00, 0xff, 0), (0xff000000, 0xff0000, 0xff00, 0xff), (0xff, 0xff00, 0xff0000, 0xff000000),
               (0xff0000, 0xff00, 0xff, 0xff000000), (0xff000000, 0xff00, 0xff, 0), (0, 0, 0, 0)]
    for i, masks in enumerate(layouts):
        yield "bmp_masks%d.bmp" % i, bmp(19, 13, 32, rows4, compression=3, masks=struct.pack("<4I", *masks), header=56)
    yield "bmp_masks_old_header.bmp", bmp(19, 13, 32, rows4, compression=3, masks=struct.pack("<3I", *layouts[0][:3]))
    yield "bmp_saved_grey.bmp", saved(image(19, 13, "L"), "BMP")
    yield "bmp_saved_1bit.bmp", saved(image(19, 13, "L").convert("1"), "BMP")
    yield "bmp_saved_palette.bmp", saved(image(19, 13).convert("P", palette=Image.ADAPTIVE, colors=17), "BMP")
    yield "unsupported_bmp_16.bmp", bmp(19, 13, 16, [r[:38] for r in rows])
    yield "unsupported_bmp_rle8.bmp", bmp(4, 1, 8, [b"\4\1\0\1"], bmp_palette(256), compression=1)
    yield "unsupported_bmp_without_file_header.bmp", saved(image(9, 7), "DIB")
    whole = bmp(19, 13, 24, rows)
    yield "bmp_cut_padding.bmp", whole[:-3]
    yield "bad_bmp_cut_last_byte.bmp", whole[:-4]
    yield "bad_bmp_cut_in_middle.bmp", whole[:300]
    yield "bad_bmp_cut_in_header.bmp", whole[:30]
    yield "bad_bmp_magic_only.bmp", whole[:2]
    yield "bad_bmp_bits.bmp", bmp(19, 13, 23, rows)
    yield "bad_bmp_compression.bmp", bmp(19, 13, 24, rows, compression=9)
    yield "bad_bmp_masks.bmp", bmp(19, 13, 32, rows4, compression=3, masks=struct.pack("<4I", 1, 2, 4, 8), header=56)
    yield "bad_bmp_header_kind.bmp", patched(whole, 14, 41)
    yield "bad_bmp_palette_cut.bmp", bmp(19, 13, 8, [], bmp_palette(20))
    yield "bad_bmp_bomb.bmp", bmp(20000, 20000, 24, rows)
    yield "bad_bmp_width_0.bmp", bmp(0, 20, 24, rows)


def pnm_files():
    rgb, grey = picture(15, 11, 3, 6), picture(15, 11, 1, 6)
    yield "ppm.ppm", b"P6\n15 11\n255\n" + rgb.tobytes()
    yield "ppm_comments.ppm", b"P6 # a comment\n#another\n15\t11 #one\n255\n" + rgb.tobytes()
    yield "pgm.pgm", b"P5 15 11 255 " + grey.tobytes()
    for maxval in (1, 100, 127, 254):
        yield "ppm_maxval%d.ppm" % maxval, b"P6\n15 11\n%d\n" % maxval + (rgb % (maxval + 1)).tobytes()
    yield "ppm_above_maxval.ppm", b"P6\n15 11\n100\n" + rgb.tobytes()
    yield "ppm_trailing.ppm", b"P6\n15 11\n255\n" + rgb.tobytes() + b"more"
    yield "unsupported_pgm16.pgm", b"P5\n15 11\n65535\n" + picture(15, 11, 1, 6, 16).astype(">u2").tobytes()
    yield "unsupported_ppm16.ppm", b"P6\n15 11\n1000\n" + (picture(15, 11, 3, 6, 16) % 1000).astype(">u2").tobytes()
    yield "unsupported_ppm_plain.ppm", b"P3\n2 1\n255\n1 2 3 4 5 6\n"
    yield "unsupported_pgm_plain.pgm", b"P2\n2 1\n255\n1 2\n"
    yield "unsupported_pbm.ppm", b"P4\n8 2\n\x55\xaa"
    whole = b"P6\n15 11\n255\n" + rgb.tobytes()
    yield "bad_ppm_cut.ppm", whole[:-1]
    yield "bad_ppm_header_cut.ppm", whole[:6]
    yield "bad_ppm_maxval.ppm", b"P6\n15 11\n70000\n" + rgb.tobytes()
    yield "bad_ppm_maxval_0.ppm", b"P6\n15 11\n0\n" + rgb.tobytes()
    yield "bad_ppm_letters.ppm", b"P6\n15 xx\n255\n" + rgb.tobytes()
    yield "bad_ppm_long_number.ppm", b"P6\n00000000015 11\n255\n" + rgb.tobytes()
    yield "bad_ppm_magic_only.ppm", b"P6"


def other_files():
    small = image(9, 7)
    yield "bad_empty.png", b""
    yield "bad_text.jpg", b"This is a text, not a picture.\n"
    yield "bad_zeros.png", bytes(200)
    yield "png_named_jpg.jpg", saved(small, "PNG")
    yield "jpeg_named_png.png", saved(small, "JPEG")
    yield "bmp_named_tif.tif", saved(small, "BMP")
    yield "unsupported_gif.png", saved(small.convert("P"), "GIF")
    yield "unsupported_webp.jpg", saved(small, "WEBP", lossless=True)


# ---------------------------------------------------------------- goldens
def preprocess(mode, pixels):
    from keras.applications import imagenet_utils
    x = np.asarray(pixels, dtype=np.float32)[None]
    if mode in ("caffe", "tf", "torch"):
        return imagenet_utils.preprocess_input(x, data_format="channels_last", mode=mode)[0]
    return x[0] / np.float32(255) if mode == "unit" else x[0]


def crc(array):
    return "%08x" % zlib.crc32(np.ascontiguousarray(array).tobytes())


def golden(path):
    entry = {"file": os.path.basename(path)}
    try:
        converted = {}
        for mode in ("RGB", "L"):
            with Image.open(path) as im:
                converted[mode] = im.convert(mode)
    except Exception:                      # whatever it is, Pillow refuses the file
        entry["verdict"] = "error"
        return entry
    if entry["file"].startswith("unsupported_"):
        entry["verdict"] = "unsupported"
        return entry
    rgb, grey = converted["RGB"], converted["L"]
    entry.update(verdict="ok", width=rgb.width, height=rgb.height)
    entry.update(rgb=crc(np.asarray(rgb)), l=crc(np.asarray(grey)), tensors={})
    for mode, im in (("rgb", rgb), ("l", grey)):
        if im.size != (TENSOR_WIDTH, TENSOR_HEIGHT):
            im = im.resize((TENSOR_WIDTH, TENSOR_HEIGHT), Image.NEAREST)
        pixels = np.asarray(im).reshape(TENSOR_HEIGHT, TENSOR_WIDTH, -1)
        for how in ("none", "caffe", "tf", "torch", "unit") if mode == "rgb" else ("none", "tf", "unit"):
            tensor = preprocess(how, pixels)
            assert tensor.dtype == np.float32
            entry["tensors"][mode + "_" + how] = crc(tensor)
    return entry


def nearest(n_in, n_out):
    """CRC-32 of the source positions that NEAREST takes, as 32-bit little-endian numbers"""
    ramp = Image.fromarray(np.arange(n_in, dtype=np.int32)[None], "I")
    return {"in": n_in, "out": n_out, "crc": crc(np.asarray(ramp.resize((n_out, 1), Image.NEAREST)).astype("<i4"))}


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "tests", "unit", "data", "images")
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    files = []
    for maker in (png_files, jpeg_files, tiff_files, bmp_files, pnm_files, other_files):
        for name, data in maker():
            with open(os.path.join(folder, name), "xb") as out:     # no name twice
                out.write(data)
            files.append(golden(os.path.join(folder, name)))
    made_by = "Pillow %s, libjpeg-turbo %s, libtiff %s" % (
        Image.__version__, features.version("libjpeg_turbo"), features.version("libtiff"))
    with open(os.path.join(folder, "golden.json"), "w") as out:
        out.write('{"made_by": %s, "tensor_height": %d, "tensor_width": %d, "files": [\n' % (
            json.dumps(made_by), TENSOR_HEIGHT, TENSOR_WIDTH))
        out.write(",\n".join(json.dumps(entry) for entry in files) + '\n], "nearest": [\n')
        rng = np.random.Generator(np.random.Philox(11))
        pairs = [(int(a), b) for b in (224, 299) for a in rng.integers(1, 3000, 40)]
        pairs += [(1, 16384), (16384, 1), (7, 16383), (16383, 16384)]
        out.write(",\n".join(json.dumps(nearest(a, b)) for a, b in pairs) + "\n]}\n")


if __name__ == "__main__":
    main()
