import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// What leaves a model: the blob, what it makes of a snapshot, and of what is kept beside it.
struct StructureChangeTests {
    private let graph: Graph
    private let groups: ChannelGroups

    init() throws {
        graph = try ModelBuilder.build(
            architecture: "resnet20", inputShape: [3, 8, 8], classes: 4, width: 4, seed: 5)
        groups = try graph.channelGroups()
    }

    /// Random channels of each group, at least one.
    private func change(seed: UInt64) -> StructureChange {
        var random = SeededGenerator(seed: seed)
        return StructureChange(
            channels: groups.groups.map { group in
                var kept = (0..<group.channels).filter { _ in random.uniform() < 0.6 }
                if kept.isEmpty { kept = [group.channels - 1] }
                return StructureChange.Channels(group: group.name, width: group.channels, kept: kept)
            })
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func aChangeSurvivesItsBytes(seed: UInt64) throws {
        var change = change(seed: seed)
        change.blocks = ["a", "b \"quoted\""]
        change.borders = seed % 2 == 0 ? .keep : .absorb
        let bytes = change.serialized()
        #expect(try StructureChange(parsing: bytes) == change)
        #expect(try StructureChange(parsing: bytes).serialized() == bytes)
    }

    /// The bytes that structure-change.md shows.
    @Test func theDocumentedBytes() throws {
        let text =
            #"{"blocks":[],"borders":"absorb","channels":[{"group":"layer1.0.conv1.weight","kept":"ff0f00","width":24}],"version":1}"#
        let change = try StructureChange(parsing: Array(text.utf8))
        #expect(change.channels == [.init(group: "layer1.0.conv1.weight", width: 24, kept: Array(0..<12))])
        #expect(String(decoding: change.serialized(), as: UTF8.self) == text)
    }

    @Test(arguments: [
        ("", "no JSON"), ("{}", "no JSON"), ("[]", "no JSON"),
        (#"{"blocks":[],"borders":"absorb","channels":[],"version":2}"#, "version is 2"),
        (#"{"blocks":[],"borders":"warn","channels":[],"version":1}"#, "rule for borders is 'warn'"),
        (#"{"blocks":["a","a"],"borders":"absorb","channels":[],"version":1}"#, "twice"),
        (#"{"blocks":[],"borders":"absorb","channels":[{"group":"g","kept":"0","width":4}],"version":1}"#, "width"),
        (#"{"blocks":[],"borders":"absorb","channels":[{"group":"g","kept":"0g","width":4}],"version":1}"#, "digits"),
        (
            #"{"blocks":[],"borders":"absorb","channels":[{"group":"g","kept":"00","width":4}],"version":1}"#,
            "no channel"
        ),
        (
            #"{"blocks":[],"borders":"absorb","channels":[{"group":"g","kept":"10","width":4}],"version":1}"#,
            "no channel"
        ),
        (#"{"blocks":[],"borders":"absorb","channels":[{"group":"g","kept":"","width":-8}],"version":1}"#, "width"),
        (
            #"{"blocks":[],"borders":"absorb","channels":[{"group":"g","kept":"","width":9223372036854775807}],"version":1}"#,
            "width"
        ),
    ])
    func whatIsNoChangeIsRefused(text: String, reason: String) {
        let error = #expect(throws: CompressionError.self) { try StructureChange(parsing: Array(text.utf8)) }
        #expect("\(error.map { "\($0)" } ?? "")".contains(reason))
    }

    @Test func aChangeOfAnotherGraphIsRefused() throws {
        var change = change(seed: 1)
        change.channels[0].width += 1
        #expect(throws: ModelError.self) { try change.apply(to: graph) }
        change.channels[0].group = "nobody"
        #expect(throws: ModelError.self) { try change.apply(to: graph) }
    }

    /// Masks, and whatever else is kept for each weight, lose what the weights lose.
    @Test(arguments: 1..<5 as Range<UInt64>)
    func whatIsKeptIsSlicedLikeTheWeights(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var marked = graph
        // Every weight is its own place, so what is left says where it came from.
        for (name, tensor) in graph.parameterTensors().ordered {
            marked.initializers[name] = Tensor((0..<tensor.elementCount).map { Float($0 + 1) }, shape: tensor.shape)
        }
        let places = marked.parameterTensors()
        var masks = MaskSet(epoch: 4)
        for name in graph.prunableNames {
            guard let count = places[name]?.elementCount else { continue }
            var bitmap = Bitmap(repeating: true, count: count)
            for index in 0..<count where random.uniform() < 0.3 { bitmap[index] = false }
            masks.bitmaps[name] = bitmap
        }
        let change = change(seed: seed)
        let pruned = try change.apply(to: marked, masks: masks)
        #expect(pruned.masks.epoch == 5)
        for (name, bitmap) in pruned.masks.bitmaps {
            let left = pruned.slices.apply(to: try #require(places[name]), named: name).floats
            #expect(left.count == bitmap.count)
            #expect(left.indices.allSatisfy { bitmap[$0] == masks.bitmaps[name]?[Int(left[$0]) - 1] })
            let parameter = try #require(pruned.parameters[name])
            #expect(parameter.floats.indices.allSatisfy { bitmap[$0] || parameter.floats[$0] == 0 })
        }
        try checkKept(places, pruned)
    }

    private func checkKept(_ places: NamedTensors, _ pruned: PrunedModel) throws {
        let names = places.names
        let kept = NamedTensors(places.ordered.flatMap { [($0.name, $0.tensor), ("momentum:" + $0.name, $0.tensor)] })
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("kept-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(Safetensors.serialize(kept)).write(to: URL(fileURLWithPath: path))
        let file = try SafetensorsFile(MappedFile(path: path), path: path)
        var bytes: [UInt8] = []
        try KeptTensors.adapt(file, to: pruned.slices, prefixes: ["momentum:"], metadata: ["seen": "1"]) { bytes += $0 }
        let (adapted, metadata) = try Safetensors.parse(bytes, path: path)
        #expect(metadata["seen"] == "1")
        #expect(adapted.names == names.flatMap { [$0, "momentum:" + $0] })
        for name in names {
            let shape = pruned.graph.initializers[name]?.shape
            #expect(adapted[name]?.shape == shape)
            #expect(adapted["momentum:" + name] == adapted[name])
            #expect(adapted[name] == places[name].map { pruned.slices.apply(to: $0, named: name) })
        }
    }

    @Test func blocksAndChannelsLeaveInOneChange() throws {
        let block = try #require(try graph.residualBlocks().first)
        let left = try graph.removing(blocks: [block.name]).graph
        let group = try #require(try left.channelGroups().groups.first)
        let change = StructureChange(
            blocks: [block.name],
            channels: [.init(group: group.name, width: group.channels, kept: [0])])
        let pruned = try change.apply(to: graph)
        #expect(pruned.slices.removed == Set(block.parameters))
        #expect(pruned.graph.parameterTensors().elementCount < left.parameterTensors().elementCount)
        #expect(throws: Never.self) { try pruned.graph.inferShapes(batch: 2) }
    }
}
