import Foundation
import Testing

@testable import Tensors

struct TensorStatisticsTests {
    @Test func figuresOfAFewValues() {
        var statistics = TensorStatistics()
        for values in [[3, 0, -4], [-0.0, .nan, .infinity]] as [[Float]] {
            values.withUnsafeBufferPointer { statistics.add($0) }
        }
        #expect(statistics.norm == 5)
        #expect(statistics.largestMagnitude == 4)
        #expect(statistics.zeros == 2)
        #expect(statistics.notFinite == 2)
    }

    /// More than one piece, with a figure that changes on each side of the seam.
    @Test func aMappedTensorIsReadToItsLastElement() throws {
        var values = [Float](repeating: 1, count: (1 << 16) + 3)
        values[(1 << 16) - 1] = 0
        values[1 << 16] = -7
        values[(1 << 16) + 2] = 0
        let tensors = NamedTensors([
            ("none", Tensor(zeros: [0, 4])), ("bytes", Tensor([1, 2, 3] as [UInt8], shape: [3])),
            ("long", Tensor(values, shape: try Shape([values.count]))),
        ])
        try withTemporaryFolder { folder in
            let path = folder + "/file"
            try Safetensors.write(tensors, path: path)
            let file = try SafetensorsFile(MappedFile(path: path), path: path)
            let entries = Dictionary(uniqueKeysWithValues: file.entries.map { ($0.name, $0) })
            let long = try file.statistics(of: #require(entries["long"]))
            #expect(long.zeros == 2 && long.largestMagnitude == 7 && long.notFinite == 0)
            #expect(long.norm == (Double((1 << 16) + 3 - 3) + 49).squareRoot())
            #expect(try file.statistics(of: #require(entries["none"])) == TensorStatistics())
            #expect(throws: TensorError.wrongElementType(name: "bytes", expected: .float32, found: .uint8)) {
                try file.statistics(of: #require(entries["bytes"]))
            }
        }
    }
}
