//! What else belongs to one VM: its name for the processor, and the clocks that it announces.

use cpuid_db::{Field, FieldAt, Policy, Registers};

use super::TopologyError;

/// What becomes of a value that the template may have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Choice<T> {
    /// As in the template.
    #[default]
    Keep,
    /// This value; leaves and maximum leaves are created as needed.
    Set(T),
    /// None: the leaf answers zero.
    Drop,
}

/// Leaf 15H: TSC frequency = `crystal_hz` * `numerator` / `denominator`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TscRatio {
    /// EAX.
    pub denominator: u32,
    /// EBX.
    pub numerator: u32,
    /// ECX: the core crystal clock; 0 leaves it to the guest's tables.
    pub crystal_hz: u32,
}

/// Leaf 16H.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Frequencies {
    /// EAX\[15:0\].
    pub base_mhz: u16,
    /// EBX\[15:0\].
    pub max_mhz: u16,
    /// ECX\[15:0\].
    pub bus_mhz: u16,
}

/// Leaf 4000_0010H.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HypervisorClock {
    /// EAX: the virtual TSC.
    pub tsc_khz: u32,
    /// EBX: the timer of the virtual APIC.
    pub apic_khz: u32,
}

/// Values of one VM that no pool can decide. The default keeps the template.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Choices {
    /// The processor name, leaves 8000_0002H to 8000_0004H. Guests show it, licences count by it, and a few programs look for the
    /// maker's words or a frequency in it. Dropped, guests show "unknown".
    pub brand: Choice<[u8; 48]>,
    /// Leaf 15H. Guests of Intel take the TSC rate from it without measuring, and, if the crystal is given, the rate of the APIC timer:
    /// a value kept from a host is wrong as soon as the VM's TSC is scaled or the hypervisor clocks its APIC otherwise (KVM: 1 GHz
    /// unless told). Dropped, guests measure, which takes longer and is less exact.
    pub tsc: Choice<TscRatio>,
    /// Leaf 16H. Tools show it; Linux derives the crystal from it if leaf 15H leaves it open. Dropped, nothing is lost but the display.
    pub frequencies: Choice<Frequencies>,
    /// Leaf 4000_0010H, the convention of VMware, which guests of KVM read as well: the one leaf that describes the virtual clocks
    /// and not the chip's. It must be set again if the VM moves to where its TSC runs at another rate.
    pub hypervisor_clock: Choice<HypervisorClock>,
}

impl Choices {
    pub(super) fn apply(&self, policy: &mut Policy) -> Result<(), TopologyError> {
        let tsc = map(self.tsc, |tsc| Registers::new(tsc.denominator, tsc.numerator, tsc.crystal_hz, 0));
        let mhz = map(self.frequencies, |mhz| Registers::new(mhz.base_mhz.into(), mhz.max_mhz.into(), mhz.bus_mhz.into(), 0));
        let clock = map(self.hypervisor_clock, |clock| Registers::new(clock.tsc_khz, clock.apic_khz, 0, 0));
        if matches!(clock, Choice::Set(_)) && policy.cpuid.get(0x4000_0000, 0).is_none() {
            return Err(TopologyError::NoHypervisor);
        }
        for (leaf, choice) in [(0x15, tsc), (0x16, mhz), (0x4000_0010, clock)] {
            leaf_choice(policy, leaf, choice)?;
        }
        for (number, leaf) in (0..).zip(0x8000_0002..=0x8000_0004) {
            leaf_choice(policy, leaf, map(self.brand, |brand| brand_leaf(&brand, number)))?;
        }
        Ok(())
    }
}

fn map<T, U>(choice: Choice<T>, to: impl FnOnce(T) -> U) -> Choice<U> {
    match choice {
        Choice::Keep => Choice::Keep,
        Choice::Set(value) => Choice::Set(to(value)),
        Choice::Drop => Choice::Drop,
    }
}

/// Sixteen characters of the name.
fn brand_leaf(brand: &[u8; 48], number: usize) -> Registers {
    let mut words = brand.chunks_exact(4).skip(number * 4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap_or_default()));
    let mut next = || words.next().unwrap_or(0);
    Registers::new(next(), next(), next(), next())
}

fn leaf_choice(policy: &mut Policy, leaf: u32, choice: Choice<Registers>) -> Result<(), TopologyError> {
    match choice {
        Choice::Keep => {}
        Choice::Drop => policy.cpuid.retain(|entry| entry.leaf != leaf),
        Choice::Set(registers) => {
            policy.cpuid.insert(leaf, 0, registers)?;
            reach(policy, leaf)?;
        }
    }
    Ok(())
}

/// Raises the maximum leaf of the class so that `leaf` is in range.
pub(super) fn reach(policy: &mut Policy, leaf: u32) -> Result<(), TopologyError> {
    let field = match leaf {
        0x8000_0000.. => Field::MAX_EXTENDED_LEAF,
        0x4000_0000.. => return raise(policy, 0x4000_0000, leaf),
        _ => Field::MAX_BASIC_LEAF,
    };
    let at = FieldAt { field, subleaf: 0 };
    match policy.field(at) {
        Some(max) if max >= u64::from(leaf) => Ok(()),
        _ => Ok(policy.set_field(at, u64::from(leaf))?),
    }
}

/// Several hypervisors have their own name for the same field.
fn raise(policy: &mut Policy, base: u32, leaf: u32) -> Result<(), TopologyError> {
    let registers = policy.cpuid.get_or_zero(base, 0);
    policy.cpuid.insert(base, 0, Registers { eax: registers.eax.max(leaf), ..registers })?;
    Ok(())
}
