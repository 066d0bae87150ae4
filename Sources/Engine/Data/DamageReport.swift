import Synchronization

/// A sample that could not be read and was left out.
public struct DamagedSample: Sendable, Equatable, Codable {
    /// The file, and the row where it holds many samples.
    public let name: String
    public let reason: String
}

/// How many samples were read, and how many of these reads found damage.
public struct DamageReport: Sendable, Equatable, Codable {
    /// Samples asked for; a sample counts each time.
    public var visited = 0
    public var damaged = 0
    /// The first few that differ.
    public var examples: [DamagedSample] = []

    static let exampleLimit = 5

    public init() {}

    mutating func add(visited: Int, damaged: [DamagedSample]) {
        self.visited += visited
        self.damaged += damaged.count
        for sample in damaged where examples.count < Self.exampleLimit && !examples.contains(sample) {
            examples.append(sample)
        }
    }
}

/// A report that several threads add to.
final class DamageTally: Sendable {
    private let report = Mutex(DamageReport())

    var value: DamageReport { report.withLock { $0 } }

    func add(visited: Int, damaged: [DamagedSample]) {
        report.withLock { $0.add(visited: visited, damaged: damaged) }
    }
}
