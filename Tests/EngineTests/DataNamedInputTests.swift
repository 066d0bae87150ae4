import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Several named inputs, every element type, values as targets, files that change under the reader.
@Suite struct DataNamedInputTests {
    private static let typed: [(ElementType, Tensor)] = [
        (.uint8, Tensor([0, 51, 255, 102] as [UInt8], shape: [2, 2])),
        (.float32, Tensor([0, 0.2, 1, 0.4] as [Float], shape: [2, 2])),
        (.float16, Tensor(elements: [0, 0x3266, 0x3c00, 0x3666] as [UInt16], elementType: .float16, shape: [2, 2])),
        (.bfloat16, Tensor(elements: [0, 0x3e4d, 0x3f80, 0x3ecd] as [UInt16], elementType: .bfloat16, shape: [2, 2])),
        (.int32, Tensor(elements: [0, -2, 1, 4] as [Int32], elementType: .int32, shape: [2, 2])),
        (.int64, Tensor([0, -2, 1, 4] as [Int64], shape: [2, 2])),
    ]

    private func check(_ set: Dataset, _ type: ElementType) throws {
        let input = set.batch([1, 0]).inputs
        if type == .int32 || type == .int64 {
            #expect(set.inputs[0].elementType == .int64)
            #expect(input == Tensor([1, 4, 0, -2] as [Int64], shape: [2, 2]))
        } else {
            #expect(set.inputs[0].elementType == .float32)
            #expect(zip(input.floats, [1, 0.4, 0, 0.2]).allSatisfy { abs($0 - $1) < 2e-3 }, "\(type) \(input.floats)")
        }
    }

    @Test func everyTypeIsRead() throws {
        try withDataFolder { folder in
            let labels = Tensor([0, 1] as [Int64], shape: [2])
            for (type, tensor) in Self.typed {
                var tensors = NamedTensors([("x", tensor), ("y", labels)])
                for (name, value) in [("x.test", tensor), ("y.test", labels)] { tensors[name] = value }
                try Safetensors.write(tensors, path: "\(folder)/a.safetensors")
                try check(loadDataset("safetensors:\(folder)/a.safetensors"), type)
                guard type != .bfloat16 else { continue }
                try makeFolder("\(folder)/test")
                for place in [folder, "\(folder)/test"] {
                    try Npy.write(tensor, path: "\(place)/x.npy")
                    try Npy.write(labels, path: "\(place)/y.npy")
                }
                try check(loadDataset("npy:\(folder)"), type)
            }
        }
    }

    /// Forty samples: ids `[40, 3]`, a picture `[40, 1, 2, 2]`, a length `[40]`.
    private func writeNamed(_ folder: String) throws {
        try Npy.write(Tensor((0..<120).map { Int64($0) }, shape: [40, 3]), path: "\(folder)/ids.npy")
        try Npy.write(Tensor((0..<160).map { UInt8($0) }, shape: [40, 1, 2, 2]), path: "\(folder)/x.npy")
        try Npy.write(Tensor((0..<40).map { Float($0) }, shape: [40]), path: "\(folder)/length.npy")
        try Npy.write(Tensor((0..<40).map { Int64($0 % 4) }, shape: [40]), path: "\(folder)/y.npy")
    }

    @Test func everyFileIsAnInput() throws {
        try withDataFolder { folder in
            try writeNamed(folder)
            let set = try loadDataset("npy:\(folder)?scale=1&mean=2")
            #expect(
                set.inputs == [
                    DataInput(name: "x", elementType: .float32, sampleShape: [1, 2, 2]),
                    DataInput(name: "ids", elementType: .int64, sampleShape: [3]),
                    DataInput(name: "length", elementType: .float32, sampleShape: []),
                ])
            for shard in ["", "&shard=2/3", "&limit=7", "&split=test"] {
                let set = try loadDataset("npy:\(folder)?scale=1&mean=2\(shard)")
                let batch = try set.samples(at: (0..<set.count).reversed()).batch
                let lengths = try batch.inputs.require("length").floats
                #expect(lengths.count == set.count && lengths.map { Int64($0) % 4 } == set.labels.reversed())
                let ids = try batch.inputs.require("ids").elements(as: Int64.self)
                var (expectedIds, expectedPictures): ([Int64], [Float]) = ([], [])
                for length in lengths {
                    for place in 0..<3 { expectedIds.append(3 * Int64(length) + Int64(place)) }
                    for place in 0..<4 { expectedPictures.append(4 * length + Float(place) - 2) }
                }
                #expect(ids == expectedIds)
                let pictures = try batch.inputs.require("x").floats
                #expect(pictures == expectedPictures)
            }
            try FileManager.default.removeItem(atPath: "\(folder)/x.npy")
            expectRefusal("are for an input 'x'") { try loadDataset("npy:\(folder)?mean=2") }
            try Npy.write(Tensor([1] as [Float], shape: [1]), path: "\(folder)/extra.npy")
            expectRefusal("input 'extra' of shape [1] do not match 40 labels") { try loadDataset("npy:\(folder)") }
        }
    }

    @Test func inputsFitAModelByNameTypeAndShape() throws {
        try withDataFolder { folder in
            try writeNamed(folder)
            let set = try loadDataset("npy:\(folder)")
            func refusal(_ inputs: [ValueInfo]) -> String {
                dataErrorMessage {
                    try set.checkFits(
                        Graph(name: "g", nodes: [], inputs: inputs, outputs: [], initializers: NamedTensors()))
                }
            }
            let ids = ValueInfo(name: "ids", elementType: .int64, dimensions: [.symbolic("n"), .fixed(3)])
            let picture = ValueInfo(name: "x", elementType: .float32, dimensions: nil)
            #expect(refusal([ids, picture]).contains("no error"))
            var other = ids
            other.elementType = .float32
            #expect(refusal([other]).contains("input 'ids' is float32, the data's 'ids' is int64"))
            other = ids
            other.dimensions = [.unknown, .fixed(4)]
            #expect(refusal([picture, other]).contains("takes samples of [4], the data's 'ids' has [3]"))
            other.name = "mask"
            #expect(refusal([other]).contains("input 'mask' is missing; the data have 'x', 'ids', 'length'"))
        }
    }

    @Test func realTargetsAreValues() throws {
        try withDataFolder { folder in
            try Npy.write(Tensor((0..<20).map { Float($0) }, shape: [20, 1]), path: "\(folder)/x.npy")
            try Npy.write(Tensor((0..<40).map { Float($0) / 2 }, shape: [20, 2]), path: "\(folder)/y.npy")
            let set = try loadDataset("npy:\(folder)?shard=1/2")
            #expect(set.targets == .values([2]) && set.classCount == 0 && set.labels.isEmpty)
            #expect(set.classHistogram().isEmpty && set.description.contains("values [2]"))
            let (inputs, targets) = set.batch(0..<set.count)
            #expect(targets.shape == [9, 2])
            #expect(targets.floats == inputs.floats.flatMap { [$0, $0 + 0.5] })
            try set.checkFits(inputDimensions: [1], classes: 2)
            expectRefusal("values of shape [2], the model has 3 outputs") {
                try set.checkFits(inputDimensions: [1], classes: 3)
            }
            expectRefusal("needs classes; use iid or contiguous") {
                try loadDataset("npy:\(folder)?shard=1/2&partition=dirichlet:1")
            }
            let runs = try (1...2).map { try loadDataset("npy:\(folder)?shard=\($0)/2&partition=contiguous") }
            let values = runs.map { $0.batch(0..<$0.count).inputs.floats }
            #expect(values[0] == values[0].sorted() && (values[0].last ?? 0) < (values[1].first ?? 0))
            try Npy.write(Tensor([Float](repeating: .nan, count: 20), shape: [20]), path: "\(folder)/y.npy")
            expectRefusal("not finite") { try loadDataset("npy:\(folder)") }
        }
    }

    /// Reading at a place fails with an error where a mapped file would end the process.
    @Test func aFileThatIsCutShortLaterFailsBySample() throws {
        try withDataFolder { folder in
            try Npy.write(Tensor((0..<100).map { Float($0) }, shape: [100, 1]), path: "\(folder)/x.npy")
            try Npy.write(Tensor([Int64](repeating: 0, count: 100), shape: [100]), path: "\(folder)/y.npy")
            let set = try loadDataset("npy:\(folder)")
            let handle = try #require(FileHandle(forWritingAtPath: "\(folder)/x.npy"))
            try handle.truncate(atOffset: 128 + 4 * 50)
            let loaded = try set.samples(at: 0..<set.count)
            #expect(loaded.indices.count + loaded.damaged.count == 90 && (40...50).contains(loaded.damaged.count))
            #expect(loaded.damaged[0].reason.contains("cut short") && loaded.damaged[0].name.contains("x.npy row"))
            #expect(try loaded.batch.inputs.require("x").floats.allSatisfy { $0 < 50 })
            expectRefusal("does not fit the") { try loadDataset("npy:\(folder)") }
        }
    }
}
