import Tensors
import Testing

@testable import UpdateCodec

struct RiceStreamTests {
    /// The stream of some numbers, straight from protocols/update-format.md.
    private func reference(_ numbers: [UInt32], _ parameters: [Int]) -> [UInt8] {
        func bytes(_ bits: [UInt8]) -> [UInt8] {
            stride(from: 0, to: bits.count, by: 8).map { start in
                bits[start..<min(start + 8, bits.count)].enumerated().reduce(0) { $0 | $1.element << UInt8($1.offset) }
            }
        }
        var stream: [UInt8] = []
        for (segment, k) in parameters.enumerated() {
            let part = numbers[(segment * 4096)..<min(numbers.count, segment * 4096 + 4096)]
            let quotients = bytes(part.flatMap { [UInt8](repeating: 0, count: Int($0 >> UInt32(k))) + [1] })
            stream.append(UInt8(k))
            stream.appendVarint(quotients.count)
            stream += bytes(part.flatMap { number in (0..<k).map { UInt8(number >> UInt32($0) & 1) } })
            stream += quotients
        }
        return stream
    }

    private func numbers(_ count: Int, below bound: Int, seed: UInt64) -> [UInt32] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { index in
            // The second segment's are larger, and sometimes one is much larger.
            let bound = (index < 4096 ? 1 : 9) * (generator.index(below: 50) == 0 ? 40 : 1) * bound
            return UInt32(min(generator.index(below: bound), generator.index(below: bound)))
        }
    }

    @Test(arguments: [1, 2, 5, 40, 1_000, 1 << 17]) func streamsAreTheSmallestOfTheirDefinition(_ bound: Int) throws {
        for count in [1, 2, 300, 4_096, 4_097, 9_000] {
            let numbers = numbers(count, below: bound, seed: UInt64(count))
            let parameters = stride(from: 0, to: count, by: 4096).map { start -> Int in
                let part = numbers[start..<min(count, start + 4096)]
                let costs = (0...30).map { k in part.reduce(0) { $0 + 1 + k + Int($1 >> UInt32(k)) } }
                return costs.indices.min { costs[$0] < costs[$1] } ?? 0
            }
            let expected = reference(numbers, parameters)
            for threads in 1...3 {
                let stream = numbers.withUnsafeBufferPointer {
                    RiceCode.encode(
                        $0, largestParameter: RiceCode.largestGapParameter, force: WorkForce(threads: threads))
                }
                #expect(stream == expected)
            }
            #expect(try decoded(expected, count: count, limit: Int(numbers.max() ?? 0)) == numbers)
            if let largest = numbers.max(), largest > 0 {
                #expect(throws: CodecError.self) { try decoded(expected, count: count, limit: Int(largest) - 1) }
            }
            #expect(throws: CodecError.self) { try decoded(expected.dropLast(), count: count, limit: 1 << 30) }
            #expect(throws: CodecError.self) { try decoded(expected, count: count + 1, limit: 1 << 30) }
        }
    }

    private func decoded(_ stream: [UInt8], count: Int, limit: Int) throws(CodecError) -> [UInt32] {
        var reader = ByteReader(ByteRegion(stream))
        let found = try RiceStream(&reader, "numbers", count: count, largestParameter: 30, byteLimit: stream.count)
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
        var numbers = [UInt32](repeating: 0, count: count)
        var cursor = found.cursor()
        for start in stride(from: 0, to: count, by: 4096) {
            let length = min(4096, count - start)
            try stream.withUnsafeBufferPointer { (body) throws(CodecError) in
                try numbers.withUnsafeMutableBufferPointer { (out) throws(CodecError) in
                    guard let first = body.baseAddress, let target = out.baseAddress else { return }
                    try cursor.read(first, limit: limit, into: target + start, count: length)
                }
            }
        }
        return numbers
    }

    @Test func foldedCodesGetTheSameSegmentsAsNumbers() {
        for bound in [1, 2, 8, 40, 120] {
            let folded = numbers(700, below: bound, seed: 5).map { UInt8(min($0, 255)) }
            var bytes: [UInt8] = []
            folded.withUnsafeBufferPointer { RiceCode.append($0, to: &bytes) }
            let same = folded.map { UInt32($0) }.withUnsafeBufferPointer {
                RiceCode.encode($0, largestParameter: RiceCode.largestValueParameter, force: .alone)
            }
            #expect(bytes == same)
        }
    }
}
