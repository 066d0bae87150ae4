import FoundationEssentials
import ModelGraph
import Tensors

/// What leaves a model in one step: whole residual blocks, or channels of groups. From it and a snapshot everybody makes
/// the same smaller snapshot, so it is all that travels (`protocols/structure-change.md`).
///
/// Its bytes are canonical JSON: the same change has the same bytes. Whatever reads them assumes an attacker.
public struct StructureChange: Sendable, Equatable {
    /// What a group keeps.
    public struct Channels: Sendable, Equatable {
        public var group: String
        /// How many channels the group has before.
        public var width: Int
        /// Ascending, at least one.
        public var kept: [Int]

        public init(group: String, width: Int, kept: [Int]) {
            self.group = group
            self.width = width
            self.kept = kept
        }
    }

    /// Residual blocks that go, by name, in the order of their names.
    public var blocks: [String]
    /// Groups that become narrower, in the order of the graph's groups.
    public var channels: [Channels]
    /// Whether constants that meet a padded border were to be absorbed too.
    public var borders: BorderRule

    public init(blocks: [String] = [], channels: [Channels] = [], borders: BorderRule = .absorb) {
        self.blocks = blocks
        self.channels = channels
        self.borders = borders
    }

    /// The change that leaves each group the channels that `kept` has for it; groups left out stay whole.
    public init(keeping kept: [String: [Int]], of groups: [ChannelGroup], borders: BorderRule = .absorb) {
        self.init(
            channels: groups.compactMap { group in
                kept[group.name].map { Channels(group: group.name, width: group.channels, kept: $0) }
            }, borders: borders)
    }

    /// Largest bytes of a change that is read: four million channels.
    public static let byteLimit = 1 << 20

    public var isEmpty: Bool { blocks.isEmpty && channels.isEmpty }

    /// The smaller graph. Deterministic: the same graph and change give the same bytes everywhere.
    /// - Throws: `ModelError` where the change does not fit the graph.
    public func apply(to graph: Graph) throws(ModelError) -> PrunedGraph {
        var pruned = PrunedGraph(graph: graph, slices: ParameterSlices())
        if !blocks.isEmpty { pruned = try graph.removing(blocks: Set(blocks)) }
        guard !channels.isEmpty else { return pruned }
        let groups = try pruned.graph.channelGroups()
        var kept: [String: [Int]] = [:]
        for change in channels {
            guard let group = groups[change.group] else {
                throw .invalidRequest("the model has no group of channels '\(change.group)'")
            }
            guard group.channels == change.width else {
                throw .invalidRequest(
                    "group '\(change.group)' has \(group.channels) channels, the change is for \(change.width)")
            }
            kept[change.group] = change.kept
        }
        let narrowed = try pruned.graph.keeping(kept, of: groups, borders: borders)
        return PrunedGraph(
            graph: narrowed.graph, slices: pruned.slices.followed(by: narrowed.slices), notes: narrowed.notes)
    }
}

extension StructureChange {
    /// As `apply`, for a graph without values, of which only the slices count: what constants there are is not known, so
    /// none is refused.
    public func applyToSkeleton(_ graph: Graph) throws(ModelError) -> PrunedGraph {
        try StructureChange(blocks: blocks, channels: channels).apply(to: graph)
    }
}

/// A model after a structure change.
public struct PrunedModel: Sendable {
    public let graph: Graph
    /// In the graph's order, dead weights 0.
    public let parameters: NamedTensors
    /// What is left of them, in the next epoch.
    public let masks: MaskSet
    public let slices: ParameterSlices
}

extension StructureChange {
    /// The smaller model with its masks: what a snapshot is made of.
    /// - Parameter graph: with the snapshot's values.
    public func apply(to graph: Graph, masks: MaskSet) throws(ModelError) -> PrunedModel {
        let pruned = try apply(to: graph)
        let shapes = Dictionary(uniqueKeysWithValues: graph.initializers.ordered.map { ($0.name, $0.tensor.shape) })
        var left = pruned.slices.apply(to: masks, shapes: shapes)
        left.epoch = masks.epoch &+ 1
        var parameters = pruned.graph.parameterTensors()
        left.apply(to: &parameters)
        return PrunedModel(graph: pruned.graph, parameters: parameters, masks: left, slices: pruned.slices)
    }

    private struct Stored: Codable {
        struct Group: Codable {
            var group: String
            var width: Int
            /// The bitmap of kept channels, hexadecimal, the first channel in the lowest bit of the first byte.
            var kept: String
        }
        var version: Int
        var blocks: [String]
        var channels: [Group]
        var borders: String
    }

    public func serialized() -> [UInt8] {
        let groups = channels.map { change in
            var bytes = [UInt8](repeating: 0, count: (change.width + 7) / 8)
            for channel in change.kept { bytes[channel / 8] |= 1 << UInt8(channel % 8) }
            return Stored.Group(group: change.group, width: change.width, kept: bytes.map(Self.hex).joined())
        }
        let stored = Stored(version: 1, blocks: blocks, channels: groups, borders: borders == .keep ? "keep" : "absorb")
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(stored) else { preconditionFailure("a change holds text and integers") }
        return Array(data)
    }

    private static func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
    }

    /// Reads a change.
    /// - Throws: `CompressionError.malformedChange` with the reason.
    public init(parsing bytes: [UInt8]) throws(CompressionError) {
        guard bytes.count <= Self.byteLimit else { throw .malformedChange("it has \(bytes.count) bytes") }
        let stored: Stored
        do { stored = try JSONDecoder().decode(Stored.self, from: Data(bytes)) } catch {
            throw .malformedChange("it is no JSON of the form that structure-change.md describes")
        }
        guard stored.version == 1 else { throw .malformedChange("its version is \(stored.version), not 1") }
        let borders: BorderRule
        switch stored.borders {
        case "absorb": borders = .absorb
        case "keep": borders = .keep
        default: throw .malformedChange("its rule for borders is '\(stored.borders.prefix(40))'")
        }
        guard Set(stored.blocks).count == stored.blocks.count,
            Set(stored.channels.map(\.group)).count == stored.channels.count
        else { throw .malformedChange("it names a block or a group twice") }
        var channels: [Channels] = []
        for group in stored.channels { channels.append(try Self.channels(group)) }
        self.init(blocks: stored.blocks, channels: channels, borders: borders)
    }

    private static func channels(_ group: Stored.Group) throws(CompressionError) -> Channels {
        let digits = Array(group.kept.utf8)
        // Bounded before it is counted with.
        guard group.width > 0, group.width <= 4 * digits.count, digits.count == (group.width + 7) / 8 * 2 else {
            throw .malformedChange("the channels of '\(group.group.prefix(80))' do not fit its width")
        }
        var kept: [Int] = []
        for index in 0..<digits.count / 2 {
            guard let high = digit(digits[2 * index]), let low = digit(digits[2 * index + 1]) else {
                throw .malformedChange("the channels of '\(group.group.prefix(80))' are no hexadecimal digits")
            }
            let byte = high << 4 | low
            for bit in 0..<8 where byte >> bit & 1 == 1 { kept.append(index * 8 + bit) }
        }
        guard let last = kept.last, last < group.width else {
            throw .malformedChange("group '\(group.group.prefix(80))' would keep no channel, or one it does not have")
        }
        return Channels(group: group.group, width: group.width, kept: kept)
    }

    private static func digit(_ character: UInt8) -> Int? {
        switch character {
        case 0x30...0x39: Int(character) - 0x30
        case 0x61...0x66: Int(character) - 0x61 + 10
        default: nil
        }
    }
}
