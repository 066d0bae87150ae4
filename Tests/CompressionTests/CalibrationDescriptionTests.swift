import Foundation
import Tensors
import Testing

@testable import Compression

struct CalibrationDescriptionTests {
    private static func sample() throws -> CalibrationSet {
        var set = CalibrationSet(names: ["x", "never seen", "é"])
        try set.add(Tensor([-1, 0, 0, 3] as [Float], shape: [4]), name: "x")
        try set.add(Tensor([2] as [Float], shape: [1]), name: "é")
        return set
    }

    @Test func tellsCountsAndRanges() throws {
        let description = try CalibrationDescription(describing: Self.sample().serialized())
        #expect(description.tensors.map(\.name) == ["x", "never seen", "é"])
        #expect(description.tensors.map(\.values) == [4, 0, 1])
        let x = description.tensors[0]
        #expect(x.minimum == -1 && x.maximum == 3 && x.mean == 0.5 && x.usedBins == 3)
        #expect(x.rootMeanSquare == 2.5.squareRoot())
        let never = description.tensors[1]
        #expect(never.minimum == nil && never.maximum == nil && never.mean == nil && never.rootMeanSquare == nil)
        let copy = try JSONDecoder().decode(CalibrationDescription.self, from: JSONEncoder().encode(description))
        #expect(copy == description)
        #expect(try CalibrationDescription(describing: CalibrationSet(names: []).serialized()).tensors.isEmpty)
    }

    @Test func whatIsDamagedIsRefused() throws {
        let bytes = try Self.sample().serialized()
        for count in bytes.indices {
            #expect(throws: CompressionError.self) { try CalibrationDescription(describing: Array(bytes[..<count])) }
        }
        #expect(throws: CompressionError.self) { try CalibrationDescription(describing: bytes + [0]) }
        for bit in 0..<bytes.count * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            _ = try? CalibrationDescription(describing: damaged)
        }
    }

    @Test(
        arguments: [
            // 2^63 − 1 tensors; a name of 2^62 bytes; a name that is no UTF-8; a name twice.
            ([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "limit"),
            ([1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40], "cut short"),
            ([1, 1, 0xff, 0], "UTF-8"), ([2, 1, 0x61, 0, 1, 0x61, 0], "twice"),
        ] as [([UInt8], String)])
    func hostileFilesAreRefused(_ rest: [UInt8], phrase: String) {
        #expect {
            try CalibrationDescription(describing: CalibrationSet.magic + rest)
        } throws: { error in
            "\(error)".contains(phrase)
        }
    }
}
