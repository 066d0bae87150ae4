import Compression

/// A structure change in JSON.
struct StructureFacts: Encodable {
    struct Group: Encodable {
        let group: String
        let channels: Int
        let kept: [Int]
    }

    let blocks: [String]
    let groups: [Group]
    let borders: String

    init(_ change: StructureChange) {
        blocks = change.blocks
        groups = change.channels.map { Group(group: $0.group, channels: $0.width, kept: $0.kept) }
        borders = change.borders == .keep ? "keep" : "absorb"
    }
}
