import CKernels

/// A subset of 0..<domain, coded the cheapest way: bitmap, or gaps of its members or of the others.
struct CodedSubset {
    let scheme: PositionScheme
    let bytes: [UInt8]

    /// - Parameters:
    ///   - members: ascending, below `domain`; neither none nor all.
    ///   - takesRice: whether gaps may be coded; otherwise it is a bitmap.
    init(_ members: [UInt32], domain: Int, takesRice: Bool = true, force: WorkForce = .alone) {
        let fewMembers = members.count <= domain - members.count
        let bitmapByteCount = (domain + 7) / 8
        if takesRice, Self.riceMayPay(members, codesMembers: fewMembers, bitmapByteCount: bitmapByteCount) {
            let gaps = Self.gaps(fewMembers ? members : Self.complement(of: members, domain: domain))
            let stream = gaps.withUnsafeBufferPointer {
                RiceCode.encode($0, largestParameter: RiceCode.largestGapParameter, force: force)
            }
            if stream.count < bitmapByteCount {
                (scheme, bytes) = (fewMembers ? .gaps : .gapsBetweenLeftOut, stream)
                return
            }
        }
        (scheme, bytes) = (.bitmap, Self.bitmap(members, domain: domain))
    }

    /// Whether gaps may be shorter than a bitmap: a look at 64 segments of many, which is all that a subset near one half
    /// needs.
    private static func riceMayPay(_ members: [UInt32], codesMembers: Bool, bitmapByteCount: Int) -> Bool {
        let segment = RiceCode.segmentLength
        guard members.count > 64 * segment else { return true }
        var coded = 0
        var byteCount = 0
        for start in stride(from: 0, to: members.count - segment, by: members.count / 64) {
            let window = members[start..<start + segment]
            let origin = members[start]
            let inside = window.map { $0 - origin }
            let width = Int(members[start + segment - 1] - origin) + 1
            let gaps = gaps(codesMembers ? inside : complement(of: inside, domain: width))
            guard !gaps.isEmpty else { continue }
            coded += gaps.count
            byteCount += gaps.withUnsafeBufferPointer {
                RiceCode.encode($0, largestParameter: RiceCode.largestGapParameter, force: .alone).count
            }
        }
        guard coded > 0 else { return true }
        let count = codesMembers ? members.count : bitmapByteCount * 8 - members.count
        // A sample may be wrong by a little.
        return Double(byteCount) / Double(coded) * Double(count) < 1.05 * Double(bitmapByteCount)
    }

    static func bitmap(_ members: [UInt32], domain: Int) -> [UInt8] {
        var bits = [UInt8](repeating: 0, count: (domain + 7) / 8)
        bits.withUnsafeMutableBufferPointer { bits in
            for member in members { bits[Int(member >> 3)] |= 1 << UInt8(member & 7) }
        }
        return bits
    }

    /// The 1 bits of a bitmap, ascending.
    static func members(of bits: [UInt8], domain: Int) -> [UInt32] {
        let total = bits.withUnsafeBufferPointer { pleach_count_ones($0.baseAddress, $0.count) }
        return [UInt32](unsafeUninitializedCapacity: total) { buffer, filled in
            var cursor = 0
            filled = bits.withUnsafeBufferPointer {
                pleach_next_ones($0.baseAddress, domain, &cursor, buffer.baseAddress, total)
            }
        }
    }

    static func complement(of members: [UInt32], domain: Int) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: domain - members.count) { buffer, filled in
            var next: UInt32 = 0
            for member in members {
                while next < member {
                    buffer[filled] = next
                    filled += 1
                    next += 1
                }
                next += 1
            }
            while next < UInt32(domain) {
                buffer[filled] = next
                filled += 1
                next += 1
            }
        }
    }

    /// How many lie between each member and the one before it.
    private static func gaps(_ members: [UInt32]) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: members.count) { buffer, filled in
            var next: UInt32 = 0
            for member in members {
                buffer[filled] = member - next
                filled += 1
                next = member + 1
            }
        }
    }
}
