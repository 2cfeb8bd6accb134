//! AMX, beside AVX-512: one instruction multiplies 16 rows with 16 probes, 64 codes of each.
//!
//! A tile of rows is what a block holds: 16 quads, a line each, of 16 rows. A tile of probes is 16 lines, one a
//! probe. Four tiles of sums, of 32 rows and 32 probes, stay in registers while the codes go by, then are written
//! out and compared with the limits by AVX-512. Stable Rust has no intrinsics for tiles, so this is assembly.
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.

use super::{
    aims::{AIMS_PADDING as PROBES, Aims, BLOCK_ROWS, BLOCKS_AHEAD, Line, MOST_QUADS, Peak, Swept},
    avx512,
};
use std::{
    arch::{
        asm,
        x86_64::{
            __cpuid_count, __m512i, _MM_HINT_T1, _mm_prefetch, _mm512_add_epi32, _mm512_and_si512,
            _mm512_movepi32_mask, _mm512_set1_epi32,
        },
    },
    marker::PhantomData,
    slice::Chunks,
    sync::LazyLock,
};

/// Proof that this processor has AMX-INT8 and what the AVX-512 kernel needs, and that Linux lets us use it.
#[derive(Clone, Copy, Debug)]
pub struct Token(avx512::Token);

impl Token {
    pub(super) fn detect() -> Option<Self> {
        static GRANTED: LazyLock<bool> = LazyLock::new(|| {
            const TILE_AND_INT8: u32 = 0b11 << 24;
            __cpuid_count(7, 0).edx & TILE_AND_INT8 == TILE_AND_INT8 && ask_linux()
        });
        avx512::Token::detect().filter(|_| *GRANTED).map(Self)
    }

    pub(super) fn avx512(self) -> avx512::Token {
        self.0
    }
}

/// Asks Linux to keep room for tiles in the state of every thread of this process.
fn ask_linux() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: this call reads its two numbers only, and an older Linux answers with an error.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// Fewer probes are swept faster without tiles.
const LEAST_PROBES: usize = 4;
/// Probes that are compared together, before it is asked which of them has survivors.
const TOGETHER: usize = 8;

/// The tiles of this thread: two of probes and two of rows, and four of sums, of 32 probes with 32 rows.
struct Tiles {
    /// Quads that are multiplied at a time.
    quads: usize,
    this_thread: PhantomData<*const ()>,
}

#[expect(clippy::unused_self, reason = "what they act upon is in the processor")]
impl Tiles {
    fn new(_: Token, quads: usize) -> Self {
        /// The shapes of the tiles, as the processor reads them.
        #[repr(C, align(64))]
        struct Shapes {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            bytes_a_row: [u16; 16],
            rows: [u8; 16],
        }
        assert!((1..=MOST_QUADS).contains(&quads), "a tile has 16 rows");
        let (height, mut bytes_a_row, mut rows) = (quads as u8, [0; 16], [0; 16]);
        let width = u16::from(height) * 4;
        bytes_a_row[..8].copy_from_slice(&[64, 64, 64, 64, width, width, 64, 64]);
        rows[..8].copy_from_slice(&[16, 16, 16, 16, 16, 16, height, height]);
        let shapes = Shapes { palette: 1, start_row: 0, reserved: [0; 14], bytes_a_row, rows };
        // SAFETY: the 64 bytes are a configuration of palette 1 with 1 to 16 rows of 4 to 64 bytes; a token exists,
        // so the instruction does. The compiler itself uses no tiles, and assembly with effects keeps its
        // order, so that tiles hold what one block leaves until the next.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, preserves_flags)) };
        Self { quads, this_thread: PhantomData }
    }

    /// Sets all sums to zero.
    fn clear(&mut self) {
        // SAFETY: tiles of these numbers are configured.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                options(nomem, nostack, preserves_flags)
            );
        }
    }

    /// Takes the quads of one step: a line of each probe, and two lines of rows for each quad.
    fn load(&mut self, probes: &[Line; PROBES], rows: &[[Line; 2]]) {
        assert_eq!(rows.len(), self.quads, "tiles have another shape");
        // SAFETY: tiles of these numbers are configured. They read the start of each of 2 times 16 lines of probes,
        // and the first and second line of each quad, as many as there are.
        unsafe {
            asm!(
                "tileloadd tmm4, [{probes} + {line}]",
                "tileloadd tmm6, [{rows} + {two}]",
                "tileloadd tmm7, [{rows} + {two} + 64]",
                "tileloadd tmm5, [{probes} + {line} + 1024]",
                probes = in(reg) probes.as_ptr(), rows = in(reg) rows.as_ptr(),
                line = in(reg) size_of::<Line>(), two = in(reg) size_of::<[Line; 2]>(),
                options(readonly, nostack, preserves_flags),
            );
        }
    }

    /// Adds the products of what was loaded: signed codes of probes, unsigned ones of rows.
    fn multiply(&mut self) {
        // SAFETY: tiles of these numbers are configured, in shapes that go together.
        unsafe {
            asm!(
                "tdpbsud tmm0, tmm4, tmm6",
                "tdpbsud tmm1, tmm4, tmm7",
                "tdpbsud tmm2, tmm5, tmm6",
                "tdpbsud tmm3, tmm5, tmm7",
                options(nomem, nostack, preserves_flags),
            );
        }
    }

    /// Writes out each probe's sums.
    fn write(&self, sums: &mut [[i32; BLOCK_ROWS]; PROBES]) {
        // SAFETY: tiles of these numbers are configured; four of 16 rows of 64 bytes fill the 32 rows of 128.
        unsafe {
            asm!(
                "tilestored [{sums} + {row}], tmm0",
                "tilestored [{sums} + {row} + 64], tmm1",
                "tilestored [{sums} + {row} + 2048], tmm2",
                "tilestored [{sums} + {row} + 2112], tmm3",
                sums = in(reg) sums.as_mut_ptr(), row = in(reg) size_of::<[i32; BLOCK_ROWS]>(),
                options(nostack, preserves_flags),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: tiles are configured, and hold nothing that is needed.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
    }
}

pub(super) fn sweep(
    token: Token,
    aims: &Aims,
    blocks: &[Line],
    peaks: &[Peak],
    next: &[Line],
    swept: &mut Swept,
) {
    if aims.len() < LEAST_PROBES {
        return avx512::sweep(token.0, aims, blocks, peaks, next, swept);
    }
    // SAFETY: the token exists only if the processor has avx512f and avx512dq.
    unsafe { sweep_amx(token, aims, blocks, peaks, next, swept) }
}

/// The sums of some probes are compared while those of the next are made.
#[target_feature(enable = "avx512f,avx512dq")]
fn sweep_amx(token: Token, aims: &Aims, blocks: &[Line], peaks: &[Peak], next: &[Line], swept: &mut Swept) {
    let mut tiles = Tiles::new(token, aims.quads_a_step());
    let (lines, groups) = (aims.lines_a_block(), aims.len().div_ceil(PROBES));
    let share = lines.div_ceil(groups * aims.steps() + aims.len().div_ceil(TOGETHER));
    let (mut last, mut room) = (None, 0);
    for (index, (block, &peak)) in blocks.chunks_exact(lines).zip(peaks).enumerate() {
        let at = index + BLOCKS_AHEAD;
        let beyond = || next.get((at - peaks.len()) * lines..(at + 1 - peaks.len()) * lines).unwrap_or(&[]);
        let next = blocks.get(at * lines..(at + 1) * lines).unwrap_or_else(beyond);
        let mut ahead = next.chunks(share);
        let (block, _) = block.as_chunks();
        for group in 0..groups {
            tiles.clear();
            for (probes, rows) in aims.steps_of(group).iter().zip(block.chunks_exact(aims.quads_a_step())) {
                tiles.load(probes, rows);
                tiles.multiply();
                fetch(&mut ahead);
            }
            room = 1 - room;
            tiles.write(&mut swept.sums[room]);
            if let Some((index, group)) = last.replace((index, group)) {
                compare(aims, index, group, 1 - room, &mut ahead, swept);
            }
            if group == 0 {
                avx512::limits(aims, peak, swept);
            }
        }
    }
    if let Some((index, group)) = last {
        compare(aims, index, group, room, &mut [].chunks(1), swept);
    }
}

/// Has the next few lines brought into the second cache. More at once would wait for memory.
#[inline]
fn fetch(ahead: &mut Chunks<'_, Line>) {
    for line in ahead.next().unwrap_or(&[]) {
        // SAFETY: every x86-64 processor has SSE, and a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.0.as_ptr().cast()) }
    }
}

/// Compares the sums of a group of probes with the limits in a block.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn compare(
    aims: &Aims,
    block: usize,
    group: usize,
    room: usize,
    ahead: &mut Chunks<'_, Line>,
    swept: &mut Swept,
) {
    let probes = group * PROBES..aims.len().min((group + 1) * PROBES);
    for few in probes.clone().step_by(TOGETHER) {
        let few = few..probes.end.min(few + TOGETHER);
        fetch(ahead);
        let mut all = _mm512_set1_epi32(-1);
        for probe in few.clone() {
            let [low, high] = excess(swept, room, probe);
            all = _mm512_and_si512(all, _mm512_and_si512(low, high));
        }
        if _mm512_movepi32_mask(all) != u16::MAX {
            for probe in few {
                avx512::survive(excess(swept, room, probe), block, probe, swept);
            }
        }
    }
}

/// A probe's sums less what they must reach.
#[inline]
#[target_feature(enable = "avx512f")]
fn excess(swept: &Swept, room: usize, probe: usize) -> [__m512i; 2] {
    let start = _mm512_set1_epi32(swept.starts[probe]);
    let [low, high] = avx512::load_sums(&swept.sums[room][probe % PROBES]);
    [_mm512_add_epi32(low, start), _mm512_add_epi32(high, start)]
}

pub(super) fn saturate(token: Token, rounds: u64) -> (u64, i32) {
    let mut tiles = Tiles::new(token, MOST_QUADS);
    tiles.clear();
    for _ in 0..rounds {
        tiles.multiply();
    }
    let mut sums = [[0; BLOCK_ROWS]; PROBES];
    tiles.write(&mut sums);
    (rounds * (PROBES * BLOCK_ROWS * MOST_QUADS * 4) as u64, sums[0][0])
}
