/// Which alive elements a record's values belong to. Raw values are on the wire; never renumber them.
enum PositionScheme: UInt8, Sendable, CaseIterable {
    /// All of them: positions cost nothing.
    case dense = 0
    case bitmap = 1
    /// Rice-coded gaps between those that are sent.
    case gaps = 2
    /// Rice-coded gaps between those that are left out: cheaper when more than half are sent.
    case gapsBetweenLeftOut = 3
    /// As many out of each block of 4,096, 12 bits each.
    case blocks = 4

    var name: String {
        switch self {
        case .dense: "dense"
        case .bitmap: "bitmap"
        case .gaps: "gaps"
        case .gapsBetweenLeftOut: "gaps-of-left-out"
        case .blocks: "blocks"
        }
    }
}
