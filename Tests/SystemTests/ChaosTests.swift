import Chaos
import Foundation
import Testing

/// A short version of `make chaos`: kills without freezes, partitions or namespaces.
@Suite(.serialized)
struct ChaosTests {
    @Test func killsAtAnyInstantDoNotShowInTheResult() throws {
        var options = ChaosOptions(binary: PleachProcess.binary.path)
        options.workers = 2
        options.kills = 4
        options.rounds = 12
        options.freezes = false
        options.limitSeconds = 120
        var lines: [String] = []
        let result = try Chaos(options) { lines.append($0) }.run()
        #expect(result.faults.isEmpty, "\(result.faults)\n\(lines.joined(separator: "\n"))")
        #expect(result.digestsEqual && result.kills >= 4)
    }
}
