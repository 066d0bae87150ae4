import Tensors

/// Codes of 2 to 7 bits as planes of 4, 2 and 1 bits: 3 bits are a plane of 2 and one of 1. Each plane packs whole codes'
/// parts into bytes, first code in the low bits, so that a table of 256 rows unpacks a byte.
struct PackedCodes: Equatable {
    struct Plane: Equatable {
        /// 4, 2 or 1.
        let bits: Int
        /// Place of the plane's lowest bit in a code.
        let shift: Int
        let bytes: [UInt8]
    }

    /// From the low bits up.
    let planes: [Plane]
    /// Codes, with those that fill the last byte of a plane of single bits.
    let paddedCount: Int

    /// Widths and places of the planes of a code.
    static func layout(bits: Int) -> [(bits: Int, shift: Int)] {
        var result: [(bits: Int, shift: Int)] = []
        var shift = 0
        for width in [4, 2, 1] where bits & width != 0 {
            result.append((width, shift))
            shift += width
        }
        return result
    }

    /// Packs codes that lie in 0..<2^bits. Precondition: 2 to 7 bits.
    init(_ codes: [UInt8], bits: Int) {
        precondition((2...7).contains(bits), "planes of \(bits) bits")
        let padded = Self.paddedCount(codes.count)
        paddedCount = padded
        planes = Self.layout(bits: bits).map { width, shift in
            let perByte = 8 / width
            let mask = UInt8(1 << width - 1)
            var bytes = [UInt8](repeating: 0, count: padded / perByte)
            for (index, code) in codes.enumerated() {
                bytes[index / perByte] |= (code >> UInt8(shift) & mask) << UInt8(index % perByte * width)
            }
            return Plane(bits: width, shift: shift, bytes: bytes)
        }
    }

    var byteCount: Int { planes.reduce(0) { $0 + $1.bytes.count } }

    private static func paddedCount(_ count: Int) -> Int { (count + 7) / 8 * 8 }

    /// Of so many codes. Precondition: 2 to 7 bits.
    static func byteCount(of count: Int, bits: Int) -> Int { paddedCount(count) / 8 * bits }

    /// What a byte of a plane unpacks to: int8 [256, codes a byte], in place, plus `offset`.
    static func table(bits: Int, shift: Int, offset: Int) -> Tensor {
        let perByte = 8 / bits
        var elements: [Int8] = []
        elements.reserveCapacity(256 * perByte)
        for byte in 0..<256 {
            for place in 0..<perByte {
                elements.append(Int8((byte >> (place * bits) & (1 << bits - 1)) << shift + offset))
            }
        }
        return Tensor(elements: elements, elementType: .int8, shape: [256, perByte])
    }
}
