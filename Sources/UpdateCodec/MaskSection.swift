import CKernels
import Tensors

/// How one changed mask is coded. Raw values are on the wire; never renumber them.
enum MaskForm: UInt8, Sendable, CaseIterable {
    /// The tensor has no mask any more: all alive.
    case removed = 0
    case bitmap = 1
    case gapsBetweenAlive = 2
    case gapsBetweenDead = 3
    case lz4 = 4

    var name: String {
        switch self {
        case .removed: "removed"
        case .bitmap: "bitmap"
        case .gapsBetweenAlive: "gaps"
        case .gapsBetweenDead: "gaps-of-dead"
        case .lz4: "lz4"
        }
    }
}

/// The mask of one tensor, changed: parsed, not yet expanded.
struct MaskChange: Sendable, Equatable {
    let index: Int
    let elements: Int
    let form: MaskForm
    /// Whether the bits are those at the positions alive so far, all others being dead.
    let isRelative: Bool
    /// How many bits there are.
    let domain: Int
    /// What a gap form has.
    let gaps: RiceStream
    let range: Range<Int>

    static let relativeBit: UInt8 = 1 << 3
}

/// The part of a container that changes masks: the epochs before and after, and each changed tensor's new mask.
struct MaskSection: Sendable, Equatable {
    let oldEpoch: UInt32
    let newEpoch: UInt32
    let changes: [MaskChange]

    init(_ reader: inout ByteReader, tensors: Int, limits: CodecLimits) throws(CodecError) {
        oldEpoch = try reader.littleEndian("the old mask epoch")
        newEpoch = try reader.littleEndian("the new mask epoch")
        let count = try reader.varint("the count of mask changes", limit: tensors)
        var changes: [MaskChange] = []
        var previous = -1
        for _ in 0..<count {
            let change = try MaskChange(&reader, after: previous, limits: limits)
            changes.append(change)
            previous = change.index
        }
        self.changes = changes
    }

    /// The masks after the change. `body` is what the section was parsed from.
    func apply(to old: MaskSet, layout: TensorLayout, body: ByteRegion) throws(CodecError) -> MaskSet {
        guard oldEpoch == old.epoch else { throw .wrongMaskEpoch(expected: old.epoch, found: oldEpoch) }
        var new = old
        new.epoch = newEpoch
        for change in changes {
            guard change.index < layout.entries.count else {
                throw .layoutMismatch(
                    tensor: "#\(change.index)", reason: "the model has \(layout.entries.count) tensors")
            }
            let entry = layout.entries[change.index]
            guard change.elements == entry.elementCount else {
                throw .layoutMismatch(
                    tensor: entry.name, reason: "its mask covers \(change.elements) of \(entry.elementCount) elements")
            }
            new.bitmaps[entry.name] = try change.bitmap(replacing: old[entry.name], name: entry.name, body: body)
        }
        return new
    }

    /// Appends the section that leads from `old` to `new`.
    static func write(from old: MaskSet, to new: MaskSet, layout: TensorLayout, to bytes: inout [UInt8]) {
        bytes.appendLittleEndian(old.epoch)
        bytes.appendLittleEndian(new.epoch)
        let changed = layout.entries.indices.filter { old[layout.entries[$0].name] != new[layout.entries[$0].name] }
        bytes.appendVarint(changed.count)
        var previous = -1
        for index in changed {
            let entry = layout.entries[index]
            bytes.appendVarint(index - previous - 1)
            bytes.appendVarint(entry.elementCount)
            MaskChange.write(from: old[entry.name], to: new[entry.name], to: &bytes)
            previous = index
        }
    }
}

extension MaskChange {
    init(_ reader: inout ByteReader, after previous: Int, limits: CodecLimits) throws(CodecError) {
        index = previous + 1 + (try reader.varint("a mask's tensor index", limit: limits.tensors))
        elements = try reader.varint("a mask's element count", limit: limits.tensorElements)
        let byte = try reader.byte("a mask's form")
        guard let form = MaskForm(rawValue: byte & ~Self.relativeBit), form != .removed || byte == 0 else {
            throw reader.malformed("a mask's form", "is \(byte), which no mask has")
        }
        self.form = form
        isRelative = byte & Self.relativeBit != 0
        domain = form == .removed ? 0 : try reader.varint("a mask's bit count", limit: elements)
        let byteCount = (domain + 7) / 8
        switch form {
        case .removed: (gaps, range) = (.none, reader.offset..<reader.offset)
        case .bitmap: (gaps, range) = (.none, try reader.range(byteCount, "a mask"))
        case .lz4:
            let packed = try reader.varint("the length of a mask", limit: byteCount)
            guard packed > 0 else { throw reader.malformed("the length of a mask", "is 0") }
            (gaps, range) = (.none, try reader.range(packed, "a mask"))
        case .gapsBetweenAlive, .gapsBetweenDead:
            let count = try reader.varint("a mask's count of gaps", limit: domain)
            gaps = try RiceStream(
                &reader, "a mask", count: count, largestParameter: RiceCode.largestGapParameter, byteLimit: byteCount)
            range = gaps.range
        }
    }

    /// The tensor's new mask, expanded; nil when it has none.
    func bitmap(replacing old: Bitmap?, name: String, body: ByteRegion) throws(CodecError) -> Bitmap? {
        if form == .removed { return nil }
        let expected = isRelative ? old?.populationCount ?? elements : elements
        guard domain == expected else {
            throw .maskMismatch(tensor: name, reason: "its new mask has \(domain) bits for \(expected) positions")
        }
        let bits: [UInt8]
        switch form {
        case .removed: return nil
        case .bitmap: bits = body[range]
        case .lz4:
            guard let unpacked = LZ4Block.decompress(body, range, count: (domain + 7) / 8) else {
                throw .malformed(field: "a mask", offset: range.lowerBound, reason: "is not valid LZ4 of its size")
            }
            bits = unpacked
        case .gapsBetweenAlive, .gapsBetweenDead:
            bits = try body.withUnsafeBufferPointer { (body) throws(CodecError) in
                guard let first = body.baseAddress else { return [] }
                return try GapReader.expand(gaps, domain: domain, inverted: form == .gapsBetweenDead, body: first)
            }
        }
        guard let coded = Bitmap(count: domain, bytes: bits) else {
            throw .malformed(field: "a mask", offset: range.lowerBound, reason: "has spare bits set")
        }
        guard isRelative, let old else { return coded }
        var alive = CodedSubset.members(of: coded.bytes, domain: domain)
        var byte = 0
        var rank = 0
        let found = pleach_select_ones(old.bytes, old.bytes.count, &byte, &rank, &alive, alive.count)
        precondition(found, "a mask relative to \(domain) alive elements names one beyond them")
        return Bitmap(count: elements, bytes: CodedSubset.bitmap(alive, domain: elements))
    }

    /// Appends form and bits of the step from `old` to `new`: relative to the alive when none comes back to life.
    static func write(from old: Bitmap?, to new: Bitmap?, to bytes: inout [UInt8]) {
        guard let new else { return bytes.append(MaskForm.removed.rawValue) }
        var members = CodedSubset.members(of: new.bytes, domain: new.count)
        var domain = new.count
        let isSubset = old.map { old in zip(new.bytes, old.bytes).allSatisfy { $0 & ~$1 == 0 } } ?? true
        if let old, isSubset {
            let alive = CodedSubset.members(of: old.bytes, domain: old.count)
            members = alive.indices.filter { new[Int(alive[$0])] }.map { UInt32($0) }
            domain = alive.count
        }
        let subset = CodedSubset(members, domain: domain)
        var (form, coded) = (MaskForm(rawValue: subset.scheme.rawValue) ?? .bitmap, subset.bytes)
        if form != .bitmap {
            // Gap forms say how many gaps there are.
            var counted: [UInt8] = []
            counted.appendVarint(form == .gapsBetweenAlive ? members.count : domain - members.count)
            coded = counted + coded
        }
        let bitmap = CodedSubset.bitmap(members, domain: domain)
        if let packed = LZ4Block.compress(bitmap, 0..<bitmap.count),
            packed.count + varintByteCount(packed.count) < coded.count
        {
            form = .lz4
            coded = []
            coded.appendVarint(packed.count)
            coded += packed
        }
        bytes.append(form.rawValue | (isSubset ? relativeBit : 0))
        bytes.appendVarint(domain)
        bytes += coded
    }
}
