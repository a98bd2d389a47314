//! Every leaf and subleaf that a CPU announces, by the rules of SDM vol. 2A (CPUID) and APM vol. 3 (appendix E).

use cpuid_db::{CpuidTable, Register, Registers, TableFull};

/// Where a leaf says which subleaves it has.
#[derive(Clone, Copy)]
enum Subleaves {
    /// The register of subleaf 0 holds the highest one.
    Highest(Register),
    /// Bit n of the register of subleaf 0 stands for subleaf n.
    Bitmap(Register),
    /// A list from this subleaf on; the entry without any of these bits ends it.
    List(u32, Register, u32),
    /// One for each component of XCR0 (0.EDX:EAX) or IA32_XSS (1.EDX:ECX), beside 0 and 1.
    Components,
}

/// The leaves that look at ECX. All others have subleaf 0 alone.
const LEAVES: [(u32, Subleaves); 20] = [
    (0x04, Subleaves::List(0, Register::Eax, 0x1f)),
    (0x07, Subleaves::Highest(Register::Eax)),
    (0x0b, Subleaves::List(0, Register::Ecx, 0xff00)),
    (0x0d, Subleaves::Components),
    (0x0f, Subleaves::Bitmap(Register::Edx)),
    (0x10, Subleaves::Bitmap(Register::Ebx)),
    (0x12, Subleaves::List(2, Register::Eax, 0xf)),
    (0x14, Subleaves::Highest(Register::Eax)),
    (0x17, Subleaves::Highest(Register::Eax)),
    (0x18, Subleaves::Highest(Register::Eax)),
    (0x1b, Subleaves::List(0, Register::Eax, 0xfff)),
    (0x1d, Subleaves::Highest(Register::Eax)),
    (0x1e, Subleaves::Highest(Register::Eax)),
    (0x1f, Subleaves::List(0, Register::Ecx, 0xff00)),
    (0x20, Subleaves::Highest(Register::Eax)),
    (0x23, Subleaves::Bitmap(Register::Eax)),
    (0x24, Subleaves::Highest(Register::Eax)),
    (0x8000_001d, Subleaves::List(0, Register::Eax, 0x1f)),
    (0x8000_0020, Subleaves::Bitmap(Register::Ebx)),
    (0x8000_0026, Subleaves::List(0, Register::Ecx, 0xff00)),
];

/// The highest subleaf that is believed of a count or followed in a list. Real CPUs stay far below.
const LAST_SUBLEAF: u32 = 63;

/// The first leaves of the classes that CPUs have; hypervisors' classes are every 100H from 4000_0000H on.
const CLASSES: [u32; 3] = [0, 0x8000_0000, 0xc000_0000];
const HYPERVISOR: u32 = 0x4000_0000;
const HYPERVISORS: u32 = 16;
/// How many leaves a class may have.
const CLASS_SIZE: u32 = 0x100;

/// Asks `query` for every leaf and subleaf that its answers announce.
///
/// A class whose first leaf does not announce a maximum inside the class is absent: CPUs answer it with data of another leaf.
/// Where a leaf is a list, the entry that ends it is kept. Leaves of hypervisors that read as zero are left out.
///
/// # Errors
/// [`TableFull`] when the answers announce more than any CPU has.
pub fn enumerate(query: impl Fn(u32, u32) -> Registers) -> Result<CpuidTable, TableFull> {
    let mut table = CpuidTable::new();
    for base in CLASSES {
        read_class(&mut table, &query, base, true)?;
    }
    if table.get_or_zero(1, 0).ecx >> 31 & 1 == 1 {
        for number in 0..HYPERVISORS {
            read_class(&mut table, &query, HYPERVISOR + number * CLASS_SIZE, false)?;
        }
    }
    Ok(table)
}

fn read_class(table: &mut CpuidTable, query: &impl Fn(u32, u32) -> Registers, base: u32, keep_zeros: bool) -> Result<(), TableFull> {
    let first = query(base, 0);
    if !(base..base + CLASS_SIZE).contains(&first.eax) {
        return Ok(());
    }
    table.insert(base, 0, first)?;
    for leaf in base + 1..=first.eax {
        let registers = query(leaf, 0);
        if keep_zeros || !registers.is_zero() {
            table.insert(leaf, 0, registers)?;
        }
        if let Some((_, subleaves)) = LEAVES.iter().find(|(listed, _)| *listed == leaf) {
            read_subleaves(table, query, leaf, *subleaves)?;
        }
    }
    Ok(())
}

fn read_subleaves(
    table: &mut CpuidTable,
    query: &impl Fn(u32, u32) -> Registers,
    leaf: u32,
    subleaves: Subleaves,
) -> Result<(), TableFull> {
    let first = query(leaf, 0);
    let chosen: u64 = match subleaves {
        Subleaves::Highest(register) => mask_through(first.get(register)),
        Subleaves::Bitmap(register) => u64::from(first.get(register)),
        Subleaves::List(from, register, mask) => list_mask(from, |subleaf| query(leaf, subleaf).get(register) & mask != 0),
        Subleaves::Components => {
            let second = query(leaf, 1);
            let [low, high] = [first.eax | second.ecx, first.edx | second.edx];
            0b10 | (u64::from(high) << 32 | u64::from(low)) & !(1 << 63)
        }
    };
    for subleaf in (1..=LAST_SUBLEAF).filter(|subleaf| chosen >> subleaf & 1 == 1) {
        table.insert(leaf, subleaf, query(leaf, subleaf))?;
    }
    Ok(())
}

/// The subleaves up to this one, as a bitmap.
fn mask_through(last: u32) -> u64 {
    u64::MAX >> (LAST_SUBLEAF - last.min(LAST_SUBLEAF))
}

/// The subleaves before the list, its entries and the one that ends it, as a bitmap.
fn list_mask(from: u32, is_entry: impl Fn(u32) -> bool) -> u64 {
    let end = (from..LAST_SUBLEAF).find(|subleaf| !is_entry(*subleaf));
    mask_through(end.unwrap_or(LAST_SUBLEAF))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEL: Registers = Registers::new(0x24, 0x756e_6547, 0x6c65_746e, 0x4965_6e69);

    /// The subleaves that are read of `leaf` when the CPU answers it with `answer`.
    fn subleaves(leaf: u32, answer: impl Fn(u32) -> Registers) -> Vec<u32> {
        let table = enumerate(|asked, subleaf| match asked {
            0 => INTEL,
            0x8000_0000 => Registers::new(0x8000_0028, 0, 0, 0),
            _ if asked == leaf => answer(subleaf),
            _ => Registers::ZERO,
        });
        table.unwrap().leaf(leaf).iter().map(|entry| entry.subleaf).collect()
    }

    fn of(register: Register, value: u32) -> Registers {
        let mut registers = Registers::ZERO;
        *registers.get_mut(register) = value;
        registers
    }

    /// Subleaf 0 has `value` in `register`, all others have something else.
    fn announcing(leaf: u32, register: Register, value: u32) -> Vec<u32> {
        subleaves(leaf, |subleaf| if subleaf == 0 { of(register, value) } else { Registers::new(1, 1, 1, 1) })
    }

    #[test]
    fn counts_and_bitmaps() {
        for leaf in [7, 0x14, 0x17, 0x18, 0x1d, 0x1e, 0x20, 0x24] {
            assert_eq!(announcing(leaf, Register::Eax, 0), [0], "leaf {leaf:x}");
            assert_eq!(announcing(leaf, Register::Eax, 2), [0, 1, 2], "leaf {leaf:x}");
        }
        for (leaf, register) in [(0xf, Register::Edx), (0x10, Register::Ebx), (0x23, Register::Eax), (0x8000_0020, Register::Ebx)] {
            assert_eq!(announcing(leaf, register, 0b10_1010), [0, 1, 3, 5], "leaf {leaf:x}");
        }
        assert_eq!(announcing(7, Register::Eax, u32::MAX).len(), 64);
    }

    #[test]
    fn lists_end_with_their_last_entry() {
        let list = |leaf, register, from: u32, length: u32| {
            subleaves(leaf, |subleaf| if (from..from + length).contains(&subleaf) { of(register, 0x101) } else { Registers::ZERO })
        };
        for (leaf, register) in [
            (4, Register::Eax),
            (0xb, Register::Ecx),
            (0x1b, Register::Eax),
            (0x1f, Register::Ecx),
            (0x8000_001d, Register::Eax),
            (0x8000_0026, Register::Ecx),
        ] {
            assert_eq!(list(leaf, register, 0, 3), [0, 1, 2, 3], "leaf {leaf:x}");
            assert_eq!(list(leaf, register, 0, 0), [0], "leaf {leaf:x}");
        }
        // The enclave page cache sections begin at subleaf 2.
        assert_eq!(list(0x12, Register::Eax, 2, 2), [0, 1, 2, 3, 4]);
        assert_eq!(list(0x12, Register::Eax, 2, 0), [0, 1, 2]);
        assert!(list(4, Register::Eax, 0, u32::MAX).len() <= 64);
    }

    #[test]
    fn xsave_components_of_both_masks() {
        let answer = |subleaf| match subleaf {
            0 => Registers::new(0x7, 0x340, 0x340, 1 << 30),
            1 => Registers::new(0xf, 0, 0x1800, 0),
            _ => Registers::new(8, 0, 0, 0),
        };
        assert_eq!(subleaves(0xd, answer), [0, 1, 2, 11, 12, 62]);
    }

    #[test]
    fn classes_that_nobody_announces_are_absent() {
        // An Intel CPU answers an absent class with the data of its highest basic leaf.
        let echo = Registers::new(0x0007_0001, 1, 2, 3);
        let table = enumerate(|leaf, _| match leaf {
            0 => Registers { eax: 2, ..INTEL },
            1 => Registers::new(0x806f8, 0, 0, 0),
            _ => echo,
        });
        let leaves: Vec<u32> = table.unwrap().entries().iter().map(|entry| entry.leaf).collect();
        assert_eq!(leaves, [0, 1, 2]);
    }

    #[test]
    fn hypervisors_and_centaur() {
        let table = enumerate(|leaf, _| match leaf {
            0 => Registers { eax: 1, ..INTEL },
            1 => Registers::new(0x806f8, 0, 1 << 31, 0),
            0x4000_0000 => Registers::new(0x4000_0006, 1, 1, 1),
            0x4000_0005 => Registers::new(0, 0, 0, 5),
            0x4000_0100 => Registers::new(0x4000_0101, 2, 2, 2),
            0xc000_0000 => Registers::new(0xc000_0001, 0, 0, 0),
            _ => Registers::ZERO,
        });
        let leaves: Vec<u32> = table.unwrap().entries().iter().map(|entry| entry.leaf).collect();
        assert_eq!(leaves, [0, 1, 0x4000_0000, 0x4000_0005, 0x4000_0100, 0xc000_0000, 0xc000_0001]);
    }

    #[test]
    fn absurd_answers_do_not_overflow() {
        let absurd = enumerate(|leaf, subleaf| Registers::new(leaf | 0xff, u32::MAX, u32::MAX, subleaf));
        assert!(absurd.is_err());
    }
}
