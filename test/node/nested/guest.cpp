// SPDX-License-Identifier: Apache-2.0
//
// What runs in the virtual machine inside of the virtual node: a multiboot kernel of its own, for
// Linux would need a minute under doubled emulation. It looks for NVIDIA devices on its bus, says
// what it reads from them on its serial console, and then twice a second whether they still answer.
#include <stdint.h>

namespace {

// Multiboot Specification 0.6.96, 3.1: magic, no flags, and what makes the sum zero.
constexpr uint32_t kMagic = 0x1badb002;
[[gnu::used, gnu::section(".multiboot")]] const uint32_t multiboot[] = {kMagic, 0, 0u - kMagic};

constexpr uint16_t kSerial = 0x3f8, kPicCommand = 0x20, kPicMask = 0x21;
constexpr uint16_t kConfigAddress = 0xcf8, kConfigData = 0xcfc;
constexpr uint32_t kTicksPerBeat = 9;  // the timer of the firmware ticks 18.2 times a second

void Out8(uint16_t port, uint8_t value) { asm volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
void Out32(uint16_t port, uint32_t value) { asm volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
uint8_t In8(uint16_t port) {
  uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
uint32_t In32(uint16_t port) {
  uint32_t value;
  asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

void Print(const char* text) {
  for (; *text != '\0'; ++text) {
    while ((In8(kSerial + 5) & 0x20) == 0) {
    }
    Out8(kSerial, static_cast<uint8_t>(*text));
  }
}

void PrintHex(uint32_t value, int digits) {
  char text[9] = {};
  for (int i = 0; i < digits; ++i) {
    text[i] = "0123456789abcdef"[value >> (4 * (digits - 1 - i)) & 0xf];
  }
  Print(text);
}

uint32_t Config(uint32_t slot, uint32_t offset) {
  Out32(kConfigAddress, 0x80000000 | slot << 11 | offset);
  return In32(kConfigData);
}

uint32_t Register(uint32_t bar0, uint32_t offset) {
  return *reinterpret_cast<volatile uint32_t*>(bar0 + offset);
}

// Where a chip keeps its confidential-computing word: Hopper, or Blackwell.
uint32_t ModeWord(uint32_t identity) { return identity >> 24 == 0x18 ? 0x1182cc : 0x590; }

uint32_t bars[32];
int devices = 0;

void FindDevices() {
  for (uint32_t slot = 0; slot < 32; ++slot) {
    const uint32_t id = Config(slot, 0);
    if ((id & 0xffff) != 0x10de) continue;
    const uint32_t bar0 = Config(slot, 0x10) & ~0xfu;
    Out32(kConfigAddress, 0x80000000 | slot << 11 | 4);
    Out32(kConfigData, 0x2);  // decode memory
    const uint32_t identity = Register(bar0, 0);
    Print("guest: has 10de:");
    PrintHex(id >> 16, 4);
    Print(" identity ");
    PrintHex(identity, 8);
    Print(" mode ");
    PrintHex(Register(bar0, ModeWord(identity)), 8);
    Print("\n");
    bars[devices++] = bar0;
  }
}

// The timer's interrupt only has to wake the processor.
asm("timer: push %eax\n mov $0x20, %al\n out %al, $0x20\n pop %eax\n iret");
extern "C" void timer();

struct [[gnu::packed]] Gate {
  uint16_t low, selector;
  uint8_t zero, type;
  uint16_t high;
} gates[9];

void StartTimer() {
  uint16_t code;
  asm("mov %%cs, %0" : "=r"(code));
  const uint32_t address = reinterpret_cast<uint32_t>(&timer);
  gates[8] = {static_cast<uint16_t>(address), code, 0, 0x8e, static_cast<uint16_t>(address >> 16)};
  const struct [[gnu::packed]] {
    uint16_t limit;
    uint32_t base;
  } table{sizeof gates - 1, reinterpret_cast<uint32_t>(gates)};
  asm volatile("lidt %0" ::"m"(table));
  Out8(kPicMask, 0xfe);  // the timer alone
  Out8(kPicCommand, 0x20);
  asm volatile("sti");
}

[[noreturn]] void Main() {
  FindDevices();
  Print("guest: up\n");
  StartTimer();
  for (uint32_t beat = 1;; ++beat) {
    for (uint32_t tick = 0; tick < kTicksPerBeat; ++tick) asm volatile("hlt");
    Print("guest: beat ");
    PrintHex(beat, 4);
    for (int i = 0; i < devices; ++i) {
      Print(Register(bars[i], 0) == 0xffffffff ? " lost" : " fine");
    }
    Print("\n");
  }
}

}  // namespace

extern "C" {
alignas(16) char stack[16384];
[[noreturn]] void guest_main() { Main(); }
}

asm(".globl _start\n_start: mov $stack + 16384, %esp\n call guest_main");
