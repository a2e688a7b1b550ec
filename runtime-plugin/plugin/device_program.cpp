// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/device_program.hpp"

#include <linux/bpf.h>

#include <array>
#include <bit>
#include <cstring>
#include <ostream>

namespace kata_vfio::plugin {
namespace {

constexpr std::size_t stack_size = 512; // MAX_BPF_STACK, linux/filter.h

/// Any instruction or value the interpreter has no meaning for.
struct NotUnderstood {};

struct Value {
    enum class Kind { unset, number, context, stack };
    Kind kind = Kind::unset;
    std::uint64_t number = 0; ///< of a pointer: its offset, signed; the stack's from its top

    std::int64_t offset() const { return static_cast<std::int64_t>(number); }
};

std::uint64_t require_number(const Value& value) {
    if (value.kind != Value::Kind::number)
        throw NotUnderstood();
    return value.number;
}

std::size_t width_of(std::uint8_t code) {
    switch (BPF_SIZE(code)) {
    case BPF_B:
        return 1;
    case BPF_H:
        return 2;
    case BPF_W:
        return 4;
    default: // BPF_DW
        return 8;
    }
}

/// `width` bytes in this machine's order, as the kernel's JIT loads them.
std::uint64_t load_bytes(const std::uint8_t* bytes, std::size_t width) {
    std::uint64_t value = 0;
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(&value, bytes, width);
    return value;
}

template <class Word>
Word arithmetic(std::uint8_t operation, Word left, Word right) {
    using Signed = std::make_signed_t<Word>;
    constexpr Word shift = sizeof(Word) * 8 - 1; // the kernel masks a shift by it
    switch (operation) {
    case BPF_ADD:
        return left + right;
    case BPF_SUB:
        return left - right;
    case BPF_MUL:
        return left * right;
    case BPF_DIV:
        return right == 0 ? 0 : left / right;
    case BPF_MOD:
        return right == 0 ? left : left % right;
    case BPF_OR:
        return left | right;
    case BPF_AND:
        return left & right;
    case BPF_XOR:
        return left ^ right;
    case BPF_LSH:
        return left << (right & shift);
    case BPF_RSH:
        return left >> (right & shift);
    case BPF_ARSH:
        return static_cast<Word>(static_cast<Signed>(left) >> (right & shift));
    case BPF_MOV:
        return right;
    case BPF_NEG:
        return Word{0} - left;
    default: // BPF_END among them
        throw NotUnderstood();
    }
}

template <class Word>
bool holds(std::uint8_t operation, Word left, Word right) {
    using Signed = std::make_signed_t<Word>;
    const auto signed_left = static_cast<Signed>(left), signed_right = static_cast<Signed>(right);
    switch (operation) {
    case BPF_JEQ:
        return left == right;
    case BPF_JNE:
        return left != right;
    case BPF_JGT:
        return left > right;
    case BPF_JGE:
        return left >= right;
    case BPF_JLT:
        return left < right;
    case BPF_JLE:
        return left <= right;
    case BPF_JSGT:
        return signed_left > signed_right;
    case BPF_JSGE:
        return signed_left >= signed_right;
    case BPF_JSLT:
        return signed_left < signed_right;
    case BPF_JSLE:
        return signed_left <= signed_right;
    case BPF_JSET:
        return (left & right) != 0;
    default: // BPF_CALL among them
        throw NotUnderstood();
    }
}

class Machine {
  public:
    Machine(std::span<const Instruction> program, const DeviceAccess& access) : program_(program) {
        const std::uint32_t type = access.block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
        std::uint32_t wanted = 0;
        if (access.make)
            wanted |= BPF_DEVCG_ACC_MKNOD;
        if (access.read)
            wanted |= BPF_DEVCG_ACC_READ;
        if (access.write)
            wanted |= BPF_DEVCG_ACC_WRITE;
        const bpf_cgroup_dev_ctx context{wanted << 16 | type, access.major, access.minor};
        std::memcpy(context_.data(), &context, sizeof context);
        registers_[1] = {Value::Kind::context, 0};
        registers_[10] = {Value::Kind::stack, 0};
    }

    /// What it returns.
    std::uint64_t run(std::size_t budget) {
        for (; budget > 0; --budget) {
            const auto& now = at(next_++);
            switch (BPF_CLASS(now.code)) {
            case BPF_ALU:
                compute(now, false);
                break;
            case BPF_ALU64:
                compute(now, true);
                break;
            case BPF_LDX:
                target(now) = load(now);
                break;
            case BPF_ST:
                store(now, static_cast<std::uint64_t>(std::int64_t{now.immediate}));
                break;
            case BPF_STX:
                store(now, require_number(source(now)));
                break;
            case BPF_LD:
                load_wide(now);
                break;
            case BPF_JMP:
                if (BPF_OP(now.code) == BPF_EXIT)
                    return require_number(registers_[0]);
                jump(now, true);
                break;
            default: // BPF_JMP32
                jump(now, false);
            }
        }
        throw NotUnderstood();
    }

  private:
    const Instruction& at(std::size_t index) const {
        if (index >= program_.size())
            throw NotUnderstood();
        return program_[index];
    }
    Value& target(const Instruction& now) {
        if (now.dst > 9) // the frame's register is only read
            throw NotUnderstood();
        return registers_[now.dst];
    }
    const Value& source(const Instruction& now) const { return value_of(now.src); }
    const Value& value_of(std::uint8_t number) const {
        if (number > 10)
            throw NotUnderstood();
        return registers_[number];
    }

    void compute(const Instruction& now, bool wide) {
        const auto operation = static_cast<std::uint8_t>(BPF_OP(now.code));
        const bool from_register = BPF_SRC(now.code) == BPF_X;
        auto& result = target(now);
        if (now.offset != 0) // sign-extending forms
            throw NotUnderstood();
        const Value right = from_register
                                ? source(now)
                                : Value{Value::Kind::number,
                                        static_cast<std::uint64_t>(std::int64_t{now.immediate})};
        if (operation == BPF_MOV && wide) { // also of a pointer
            if (right.kind == Value::Kind::unset)
                throw NotUnderstood();
            result = right;
            return;
        }
        if ((result.kind == Value::Kind::context || result.kind == Value::Kind::stack) && wide &&
            !from_register && operation == BPF_ADD) {
            result.number += right.number;
            return;
        }
        const auto left = operation == BPF_MOV ? 0 : require_number(result);
        const auto with = operation == BPF_NEG ? 0 : require_number(right);
        result = {Value::Kind::number,
                  wide ? arithmetic<std::uint64_t>(operation, left, with)
                       : arithmetic<std::uint32_t>(operation, static_cast<std::uint32_t>(left),
                                                   static_cast<std::uint32_t>(with))};
    }

    /// Where `width` bytes at the pointer lie on the stack.
    static std::size_t on_stack(const Value& base, const Instruction& now, std::size_t width) {
        const auto begin = base.offset() + now.offset + std::int64_t{stack_size};
        if (begin < 0 || begin > static_cast<std::int64_t>(stack_size - width))
            throw NotUnderstood();
        return static_cast<std::size_t>(begin);
    }

    Value load(const Instruction& now) const {
        const auto width = width_of(now.code);
        const auto& base = source(now);
        if (BPF_MODE(now.code) != BPF_MEM)
            throw NotUnderstood();
        if (base.kind == Value::Kind::context) {
            const auto begin = base.offset() + now.offset;
            // The kernel lets it read a word, or a part of the first one.
            if (begin < 0 || width > 4 || begin % static_cast<std::int64_t>(width) != 0 ||
                begin > static_cast<std::int64_t>(sizeof(bpf_cgroup_dev_ctx) - width))
                throw NotUnderstood();
            return {Value::Kind::number, load_bytes(context_.data() + begin, width)};
        }
        if (base.kind != Value::Kind::stack)
            throw NotUnderstood();
        const auto begin = on_stack(base, now, width);
        for (std::size_t i = 0; i < width; ++i)
            if (!written_[begin + i])
                throw NotUnderstood();
        return {Value::Kind::number, load_bytes(stack_.data() + begin, width)};
    }

    void store(const Instruction& now, std::uint64_t number) {
        const auto& base = value_of(now.dst);
        if (BPF_MODE(now.code) != BPF_MEM || base.kind != Value::Kind::stack)
            throw NotUnderstood();
        const auto width = width_of(now.code);
        const auto begin = on_stack(base, now, width);
        std::memcpy(stack_.data() + begin, &number, width);
        for (std::size_t i = 0; i < width; ++i)
            written_[begin + i] = true;
    }

    /// A constant of 64 bits, the one of two instructions; other kinds name maps and the like.
    void load_wide(const Instruction& now) {
        if (now.code != (BPF_LD | BPF_IMM | BPF_DW) || now.src != 0)
            throw NotUnderstood();
        const auto high = static_cast<std::uint32_t>(at(next_++).immediate);
        target(now) = {Value::Kind::number,
                       std::uint64_t{high} << 32 | static_cast<std::uint32_t>(now.immediate)};
    }

    void jump(const Instruction& now, bool wide) {
        const auto operation = static_cast<std::uint8_t>(BPF_OP(now.code));
        bool taken = true;
        if (operation != BPF_JA) {
            const auto left = require_number(value_of(now.dst));
            const auto right = BPF_SRC(now.code) == BPF_X
                                   ? require_number(source(now))
                                   : static_cast<std::uint64_t>(std::int64_t{now.immediate});
            taken = wide ? holds<std::uint64_t>(operation, left, right)
                         : holds<std::uint32_t>(operation, static_cast<std::uint32_t>(left),
                                                static_cast<std::uint32_t>(right));
        } else if (!wide) { // a jump of 32 bits, by the constant
            throw NotUnderstood();
        }
        if (!taken)
            return;
        const auto to = static_cast<std::int64_t>(next_) + now.offset;
        if (to < 0)
            throw NotUnderstood();
        next_ = static_cast<std::size_t>(to);
    }

    std::span<const Instruction> program_;
    std::size_t next_ = 0;
    std::array<Value, 11> registers_{};
    std::array<std::uint8_t, sizeof(bpf_cgroup_dev_ctx)> context_{};
    std::array<std::uint8_t, stack_size> stack_{};
    std::array<bool, stack_size> written_{};
};

} // namespace

std::ostream& operator<<(std::ostream& out, Judgement judgement) {
    switch (judgement) {
    case Judgement::allowed:
        return out << "allowed";
    case Judgement::denied:
        return out << "denied";
    case Judgement::unknown:
        return out << "unknown";
    }
    return out;
}

std::optional<std::vector<Instruction>> parse_program(std::string_view bytes) {
    if (bytes.size() % sizeof(bpf_insn) != 0)
        return std::nullopt;
    std::vector<Instruction> program;
    program.reserve(bytes.size() / sizeof(bpf_insn));
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(bpf_insn)) {
        bpf_insn raw{};
        std::memcpy(&raw, bytes.data() + at, sizeof raw);
        program.push_back({raw.code, raw.dst_reg, raw.src_reg, raw.off, raw.imm});
    }
    return program;
}

Judgement run_program(std::span<const Instruction> program, const DeviceAccess& access,
                      std::size_t budget) {
    try {
        return Machine(program, access).run(budget) == 0 ? Judgement::denied : Judgement::allowed;
    } catch (const NotUnderstood&) {
        return Judgement::unknown;
    }
}

} // namespace kata_vfio::plugin
