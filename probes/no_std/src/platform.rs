//! What an operating system and a C library would do: entry, exit, panic, and the memory functions that the compiler calls.

use core::arch::{asm, naked_asm};
use core::panic::PanicInfo;

/// The entry point: the kernel jumps here with an aligned stack and no return address.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {main}", "ud2", main = sym main)
}

extern "C" fn main() -> ! {
    exit(crate::run())
}

fn exit(code: i32) -> ! {
    // SAFETY: system call 231 (exit_group) of x86-64 Linux takes the code in EDI and does not return.
    unsafe { asm!("syscall", in("eax") 231, in("edi") code, options(noreturn, nostack)) }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(2)
}

/// Copies `count` bytes between regions that do not overlap.
///
/// # Safety
/// `source` is valid for reads and `target` for writes of `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller vouches for both regions; the ABI guarantees a clear direction flag.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") target => _, inout("rsi") source => _, options(nostack, preserves_flags));
    }
    target
}

/// Copies `count` bytes between regions that may overlap.
///
/// # Safety
/// `source` is valid for reads and `target` for writes of `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
    if (target as usize).wrapping_sub(source as usize) >= count {
        // SAFETY: the same regions; a forward copy never overwrites what it has still to read.
        return unsafe { memcpy(target, source, count) };
    }
    // SAFETY: the target begins inside the source, so that count is at least 1: the copy runs backward from the last bytes of both
    // regions, and the direction flag is cleared again as the ABI demands.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") count => _, inout("rdi") target.add(count - 1) => _,
            inout("rsi") source.add(count - 1) => _, options(nostack));
    }
    target
}

/// Fills `count` bytes.
///
/// # Safety
/// `target` is valid for writes of `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(target: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the region; the ABI guarantees a clear direction flag.
    unsafe {
        asm!("rep stosb", inout("rcx") count => _, inout("rdi") target => _, in("al") byte as u8, options(nostack, preserves_flags));
    }
    target
}

/// Compares `count` bytes; the sign of the result is that of the first difference.
///
/// # Safety
/// Both pointers are valid for reads of `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // SAFETY: `at` is below `count`. Volatile, lest the compiler turn the loop into a call of this function.
        let (left, right) = unsafe { (left.add(at).read_volatile(), right.add(at).read_volatile()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

/// Compares `count` bytes for equality only.
///
/// # Safety
/// Both pointers are valid for reads of `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(left, right, count) }
}
