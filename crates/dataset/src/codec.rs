//! Decompression of a page to exactly the size that its header gives: a codec that would yield more is stopped there.

use std::io::Read;

use parquet::basic::Compression;

/// The codecs that are read, for messages.
pub(crate) const KNOWN: &str = "uncompressed, SNAPPY, GZIP, BROTLI, ZSTD, LZ4 and LZ4_RAW";

/// The codec's name if it is none of [`KNOWN`].
pub(crate) fn unknown(codec: Compression) -> Option<&'static str> {
    (codec == Compression::LZO).then_some("LZO")
}

/// The `size` bytes that `input` stands for; never allocates more than a few more.
pub(crate) fn decompress(codec: Compression, input: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let mut output = Vec::new();
    match codec {
        Compression::UNCOMPRESSED => output.extend_from_slice(input),
        Compression::SNAPPY => {
            output.resize(size, 0);
            let length = snap::raw::Decoder::new()
                .decompress(input, &mut output)
                .map_err(|e| text(&e))?;
            output.truncate(length);
        }
        Compression::GZIP(_) => {
            output = all(flate2::read::MultiGzDecoder::new(input), size).map_err(|e| text(&e))?;
        }
        Compression::BROTLI(_) => {
            output = all(brotli::Decompressor::new(input, 4096), size).map_err(|e| text(&e))?;
        }
        Compression::ZSTD(_) => {
            output.resize(size, 0);
            let length =
                zstd::bulk::decompress_to_buffer(input, &mut output[..]).map_err(|e| text(&e))?;
            output.truncate(length);
        }
        Compression::LZ4_RAW => output = lz4(input, size)?,
        // The name stood for three layouts in turn; the first that fits is meant.
        Compression::LZ4 => {
            output = hadoop(input, size)
                .or_else(|_| {
                    all(lz4_flex::frame::FrameDecoder::new(input), size).map_err(|e| text(&e))
                })
                .or_else(|_| lz4(input, size))?;
        }
        Compression::LZO => return Err(format!("LZO is not read here, but {KNOWN}")),
    }
    match output.len() == size {
        true => Ok(output),
        false => Err(format!("a page is not the {size} bytes that it claims")),
    }
}

fn all(input: impl Read, size: usize) -> std::io::Result<Vec<u8>> {
    let mut output = Vec::with_capacity(size + 1);
    input.take(size as u64 + 1).read_to_end(&mut output)?;
    Ok(output)
}

fn lz4(input: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut output = vec![0; size];
    let length = lz4_flex::block::decompress_into(input, &mut output).map_err(|e| e.to_string())?;
    output.truncate(length);
    Ok(output)
}

/// Hadoop's framing: blocks, each after its size decompressed and its size in the file, both big-endian.
fn hadoop(mut input: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    while let Some((head, rest)) = input.split_first_chunk::<8>() {
        let number =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (long, short) = (number(0) as usize, number(4) as usize);
        if long > size - output.len() || short > rest.len() {
            return Err("no block of Hadoop's LZ4".into());
        }
        let (block, rest) = rest.split_at(short);
        output.extend(lz4(block, long)?);
        input = rest;
    }
    match input.is_empty() && output.len() == size {
        true => Ok(output),
        false => Err("no blocks of Hadoop's LZ4".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Every codec that can say more than it was asked for.
    fn compressed(text: &[u8]) -> Vec<(Compression, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text).unwrap();
        let mut brotli = Vec::new();
        brotli::CompressorWriter::new(&mut brotli, 4096, 5, 22)
            .write_all(text)
            .unwrap();
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(text).unwrap();
        let block = lz4_flex::block::compress(text);
        let half = text.len() / 2;
        let blocks = [&text[..half], &text[half..]].map(|part| {
            let block = lz4_flex::block::compress(part);
            let sizes = [part.len() as u32, block.len() as u32].map(u32::to_be_bytes);
            [sizes.concat(), block].concat()
        });
        vec![
            (Compression::UNCOMPRESSED, text.to_vec()),
            (
                Compression::SNAPPY,
                snap::raw::Encoder::new().compress_vec(text).unwrap(),
            ),
            (
                Compression::GZIP(Default::default()),
                gzip.finish().unwrap(),
            ),
            (Compression::BROTLI(Default::default()), brotli),
            (
                Compression::ZSTD(Default::default()),
                zstd::bulk::compress(text, 3).unwrap(),
            ),
            (Compression::LZ4_RAW, block.clone()),
            (Compression::LZ4, block),
            (Compression::LZ4, frame.finish().unwrap()),
            (Compression::LZ4, blocks.concat()),
        ]
    }

    #[test]
    fn every_codec_yields_what_went_in_and_never_more_than_was_said() {
        let text = b"a page of nothing much, ".repeat(4000);
        for (codec, bytes) in compressed(&text) {
            assert!(
                decompress(codec, &bytes, text.len()).unwrap() == text,
                "{codec}"
            );
            for size in [0, 10, text.len() - 1, text.len() + 1] {
                assert!(decompress(codec, &bytes, size).is_err(), "{codec} {size}");
            }
            for cut in [0, 1, bytes.len() / 2] {
                assert!(
                    decompress(codec, &bytes[..cut], text.len()).is_err(),
                    "{codec} {cut}"
                );
            }
            // Some formats end in a mark that nobody needs.
            let nearly = decompress(codec, &bytes[..bytes.len() - 1], text.len());
            assert!(
                nearly.is_err() || nearly.is_ok_and(|found| found == text),
                "{codec}"
            );
        }
        assert!(unknown(Compression::LZO).is_some());
    }

    /// Two members in one, as gzip allows, and a gigabyte in a few kilobytes: stopped at once.
    #[test]
    fn a_bomb_is_not_unpacked() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::copy(&mut std::io::repeat(0).take(1 << 28), &mut gzip).unwrap();
        let bomb = gzip.finish().unwrap().repeat(64);
        assert!(decompress(Compression::GZIP(Default::default()), &bomb, 1000).is_err());
    }
}
