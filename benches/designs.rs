//! Two designs of an MSR file as they are written by hand, to compare with: a `match` over addresses, and a tree of handlers.
//!
//! Both hold the same MSRs and know nothing but a mask for each: they are what such code is before it grows exceptions.

use std::collections::BTreeMap;

/// One MSR: its value, and the bits that a write may change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cell {
    /// What it holds.
    pub value: u64,
    /// What may be changed.
    pub mask: u64,
}

impl Cell {
    fn write(&mut self, value: u64) -> bool {
        let legal = (self.value ^ value) & !self.mask == 0;
        if legal {
            self.value = value;
        }
        legal
    }
}

/// A `match` from addresses to places in an array.
#[derive(Debug)]
pub struct ByMatch {
    cells: Vec<Cell>,
}

impl ByMatch {
    /// Holds these MSRs.
    ///
    /// # Panics
    /// When the match does not know an address.
    pub fn new(msrs: &[(u32, Cell)]) -> Self {
        let mut cells = vec![Cell::default(); PLACES];
        for (address, cell) in msrs {
            cells[place(*address).expect("an address of the match")] = *cell;
        }
        Self { cells }
    }

    /// Whether the match has this address.
    pub fn knows(address: u32) -> bool {
        place(address).is_some()
    }

    /// WRMSR, then RDMSR.
    #[inline]
    pub fn access(&mut self, (address, value): (u32, u64)) -> u64 {
        let written = place(address).and_then(|at| self.cells.get_mut(at)).is_some_and(|cell| cell.write(value));
        let read = place(address).and_then(|at| self.cells.get(at)).map_or(0, |cell| cell.value);
        read ^ u64::from(written)
    }
}

/// What a type per MSR would implement.
trait Handler {
    fn read(&self) -> u64;
    fn write(&mut self, value: u64) -> bool;
}

impl Handler for Cell {
    fn read(&self) -> u64 {
        self.value
    }

    fn write(&mut self, value: u64) -> bool {
        Self::write(self, value)
    }
}

/// A tree of handlers.
#[expect(missing_debug_implementations, reason = "handlers are what they are")]
pub struct ByTree {
    handlers: BTreeMap<u32, Box<dyn Handler>>,
}

impl ByTree {
    /// Holds these MSRs.
    pub fn new(msrs: &[(u32, Cell)]) -> Self {
        let handlers = msrs.iter().map(|(address, cell)| (*address, Box::new(*cell) as Box<dyn Handler>));
        Self { handlers: handlers.collect() }
    }

    /// WRMSR, then RDMSR.
    #[inline]
    pub fn access(&mut self, (address, value): (u32, u64)) -> u64 {
        let written = self.handlers.get_mut(&address).is_some_and(|handler| handler.write(value));
        let read = self.handlers.get(&address).map_or(0, |handler| handler.read());
        read ^ u64::from(written)
    }
}

/// How many places there are.
const PLACES: usize = 628;

/// The place of an address, as somebody would write it down who merges neighbours and splits long functions.
const fn place(address: u32) -> Option<usize> {
    match address {
        0x0..0x40000000 => plain(address),
        0x40000000..0xc0000000 => paravirtual(address),
        0xc0000000..0xc0002000 => amd_extended(address),
        0xc0002000..0xc0010000 => amd_banks(address),
        0xc0010000..0xc0010200 => amd_system(address),
        0xc0010200.. => amd_units(address),
    }
}

#[rustfmt::skip]
const fn plain(address: u32) -> Option<usize> {
    let place = match address {
        0x10..=0x12 => address - 0x10,
        0x3b => 3,
        0x48..=0x49 => 4 + (address - 0x48),
        0x10b => 6,
        0x122 => 7,
        0x345 => 8,
        _ => return None,
    };
    Some(place as usize)
}

#[rustfmt::skip]
const fn paravirtual(address: u32) -> Option<usize> {
    let place = match address {
        0x40000000..=0x40000003 => 9 + (address - 0x40000000),
        0x40000010 => 13,
        0x40000020..=0x40000023 => 14 + (address - 0x40000020),
        0x40000070..=0x40000073 => 18 + (address - 0x40000070),
        0x40000080..=0x40000084 => 22 + (address - 0x40000080),
        0x40000090..=0x4000009f => 27 + (address - 0x40000090),
        0x400000b0..=0x400000b7 => 43 + (address - 0x400000b0),
        0x400000f0..=0x400000f5 => 51 + (address - 0x400000f0),
        0x400000ff..=0x40000108 => 57 + (address - 0x400000ff),
        0x40000118 => 67,
        0x40001080..=0x40001084 => 68 + (address - 0x40001080),
        0x40001090..=0x4000109f => 73 + (address - 0x40001090),
        0x4b564d00..=0x4b564d08 => 89 + (address - 0x4b564d00),
        _ => return None,
    };
    Some(place as usize)
}

#[rustfmt::skip]
const fn amd_extended(address: u32) -> Option<usize> {
    let place = match address {
        0xc00000e7..=0xc00000e9 => 98 + (address - 0xc00000e7),
        0xc0000103..=0xc0000106 => 101 + (address - 0xc0000103),
        0xc0000108 => 105,
        0xc000010e..=0xc000010f => 106 + (address - 0xc000010e),
        0xc0000200..=0xc000020f => 108 + (address - 0xc0000200),
        0xc0000300..=0xc0000303 => 124 + (address - 0xc0000300),
        0xc0000408..=0xc000040a => 128 + (address - 0xc0000408),
        0xc0000500..=0xc0000502 => 131 + (address - 0xc0000500),
        _ => return None,
    };
    Some(place as usize)
}

#[rustfmt::skip]
const fn amd_banks(address: u32) -> Option<usize> {
    let place = match address {
        0xc0002000..=0xc0002006 => 134 + (address - 0xc0002000),
        0xc0002008..=0xc0002009 => 141 + (address - 0xc0002008),
        0xc0002010..=0xc0002016 => 143 + (address - 0xc0002010),
        0xc0002018..=0xc0002019 => 150 + (address - 0xc0002018),
        0xc0002020..=0xc0002026 => 152 + (address - 0xc0002020),
        0xc0002028..=0xc0002029 => 159 + (address - 0xc0002028),
        0xc0002030..=0xc0002036 => 161 + (address - 0xc0002030),
        0xc0002038..=0xc0002039 => 168 + (address - 0xc0002038),
        0xc0002040..=0xc0002046 => 170 + (address - 0xc0002040),
        0xc0002048..=0xc0002049 => 177 + (address - 0xc0002048),
        0xc0002050..=0xc0002056 => 179 + (address - 0xc0002050),
        0xc0002058..=0xc0002059 => 186 + (address - 0xc0002058),
        0xc0002060..=0xc0002066 => 188 + (address - 0xc0002060),
        0xc0002068..=0xc0002069 => 195 + (address - 0xc0002068),
        0xc0002070..=0xc0002076 => 197 + (address - 0xc0002070),
        0xc0002078..=0xc0002079 => 204 + (address - 0xc0002078),
        0xc0002080..=0xc0002086 => 206 + (address - 0xc0002080),
        0xc0002088..=0xc0002089 => 213 + (address - 0xc0002088),
        0xc0002090..=0xc0002096 => 215 + (address - 0xc0002090),
        0xc0002098..=0xc0002099 => 222 + (address - 0xc0002098),
        0xc00020a0..=0xc00020a6 => 224 + (address - 0xc00020a0),
        0xc00020a8..=0xc00020a9 => 231 + (address - 0xc00020a8),
        0xc00020b0..=0xc00020b6 => 233 + (address - 0xc00020b0),
        0xc00020b8..=0xc00020b9 => 240 + (address - 0xc00020b8),
        0xc00020c0..=0xc00020c6 => 242 + (address - 0xc00020c0),
        0xc00020c8..=0xc00020c9 => 249 + (address - 0xc00020c8),
        0xc00020d0..=0xc00020d6 => 251 + (address - 0xc00020d0),
        0xc00020d8..=0xc00020d9 => 258 + (address - 0xc00020d8),
        0xc00020e0..=0xc00020e6 => 260 + (address - 0xc00020e0),
        0xc00020e8..=0xc00020e9 => 267 + (address - 0xc00020e8),
        0xc00020f0..=0xc00020f6 => 269 + (address - 0xc00020f0),
        0xc00020f8..=0xc00020f9 => 276 + (address - 0xc00020f8),
        0xc0002100..=0xc0002106 => 278 + (address - 0xc0002100),
        0xc0002108..=0xc0002109 => 285 + (address - 0xc0002108),
        0xc0002110..=0xc0002116 => 287 + (address - 0xc0002110),
        0xc0002118..=0xc0002119 => 294 + (address - 0xc0002118),
        0xc0002120..=0xc0002126 => 296 + (address - 0xc0002120),
        0xc0002128..=0xc0002129 => 303 + (address - 0xc0002128),
        0xc0002130..=0xc0002136 => 305 + (address - 0xc0002130),
        0xc0002138..=0xc0002139 => 312 + (address - 0xc0002138),
        0xc0002140..=0xc0002146 => 314 + (address - 0xc0002140),
        0xc0002148..=0xc0002149 => 321 + (address - 0xc0002148),
        0xc0002150..=0xc0002156 => 323 + (address - 0xc0002150),
        0xc0002158..=0xc0002159 => 330 + (address - 0xc0002158),
        0xc0002160..=0xc0002166 => 332 + (address - 0xc0002160),
        0xc0002168..=0xc0002169 => 339 + (address - 0xc0002168),
        0xc0002170..=0xc0002176 => 341 + (address - 0xc0002170),
        0xc0002178..=0xc0002179 => 348 + (address - 0xc0002178),
        0xc0002180..=0xc0002186 => 350 + (address - 0xc0002180),
        0xc0002188..=0xc0002189 => 357 + (address - 0xc0002188),
        0xc0002190..=0xc0002196 => 359 + (address - 0xc0002190),
        0xc0002198..=0xc0002199 => 366 + (address - 0xc0002198),
        0xc00021a0..=0xc00021a6 => 368 + (address - 0xc00021a0),
        0xc00021a8..=0xc00021a9 => 375 + (address - 0xc00021a8),
        0xc00021b0..=0xc00021b6 => 377 + (address - 0xc00021b0),
        0xc00021b8..=0xc00021b9 => 384 + (address - 0xc00021b8),
        0xc00021c0..=0xc00021c6 => 386 + (address - 0xc00021c0),
        0xc00021c8..=0xc00021c9 => 393 + (address - 0xc00021c8),
        0xc00021d0..=0xc00021d6 => 395 + (address - 0xc00021d0),
        0xc00021d8..=0xc00021d9 => 402 + (address - 0xc00021d8),
        0xc00021e0..=0xc00021e6 => 404 + (address - 0xc00021e0),
        0xc00021e8..=0xc00021e9 => 411 + (address - 0xc00021e8),
        0xc00021f0..=0xc00021f6 => 413 + (address - 0xc00021f0),
        0xc00021f8..=0xc00021f9 => 420 + (address - 0xc00021f8),
        _ => return None,
    };
    Some(place as usize)
}

#[rustfmt::skip]
const fn amd_system(address: u32) -> Option<usize> {
    let place = match address {
        0xc0010000..=0xc0010007 => 422 + (address - 0xc0010000),
        0xc0010010 => 430,
        0xc0010015..=0xc001001b => 431 + (address - 0xc0010015),
        0xc001001d => 438,
        0xc001001f..=0xc0010020 => 439 + (address - 0xc001001f),
        0xc0010041..=0xc0010042 => 441 + (address - 0xc0010041),
        0xc0010044..=0xc001004a => 443 + (address - 0xc0010044),
        0xc0010055 => 450,
        0xc0010058 => 451,
        0xc0010061..=0xc001006b => 452 + (address - 0xc0010061),
        0xc0010074 => 463,
        0xc001007a..=0xc001007b => 464 + (address - 0xc001007a),
        0xc0010111..=0xc0010118 => 466 + (address - 0xc0010111),
        0xc001011b => 474,
        0xc001011e..=0xc001011f => 475 + (address - 0xc001011e),
        0xc0010130..=0xc0010136 => 477 + (address - 0xc0010130),
        0xc0010140..=0xc0010141 => 484 + (address - 0xc0010140),
        _ => return None,
    };
    Some(place as usize)
}

#[rustfmt::skip]
const fn amd_units(address: u32) -> Option<usize> {
    let place = match address {
        0xc0010200..=0xc001020b => 486 + (address - 0xc0010200),
        0xc0010230..=0xc001023b => 498 + (address - 0xc0010230),
        0xc0010240..=0xc0010247 => 510 + (address - 0xc0010240),
        0xc0010280 => 518,
        0xc0010299..=0xc001029b => 519 + (address - 0xc0010299),
        0xc00102b0..=0xc00102b5 => 522 + (address - 0xc00102b0),
        0xc00102f0..=0xc00102f1 => 528 + (address - 0xc00102f0),
        0xc0010300..=0xc001031f => 530 + (address - 0xc0010300),
        0xc0010400..=0xc001041f => 562 + (address - 0xc0010400),
        0xc0011004..=0xc0011005 => 594 + (address - 0xc0011004),
        0xc001100c => 596,
        0xc0011019..=0xc001101b => 597 + (address - 0xc0011019),
        0xc0011020..=0xc0011023 => 600 + (address - 0xc0011020),
        0xc0011027 => 604,
        0xc0011029..=0xc001102a => 605 + (address - 0xc0011029),
        0xc001102c => 607,
        0xc001102e => 608,
        0xc0011030..=0xc001103d => 609 + (address - 0xc0011030),
        0xc00110c0 => 623,
        0xc00110e3 => 624,
        0xc001f000..=0xc001f002 => 625 + (address - 0xc001f000),
        _ => return None,
    };
    Some(place as usize)
}
