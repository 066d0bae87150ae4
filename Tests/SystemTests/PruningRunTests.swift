import Foundation
import Testing

/// Ways of pruning that the other runs leave out, from the plan to the report, by real processes.
@Suite(.serialized)
struct PruningRunTests {
    private static let head = """
        name: pruning
        seed: 7
        fleet: {workers: 2, wait: 600s, lease: 30s, heartbeat: 1s}
        wire: {up: {values: int8}, down: {values: int8}}
        export: {target: float32, measure: false}

        """

    private static func stages(_ text: String, in folder: ScratchFolder) async throws -> [[String: Any]] {
        let plan = try folder.file("plan.yaml", head + text)
        let result = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"])
        #expect(result.status == 0, "\(result.text)")
        let report = try FederationRunTests.report(folder, "state")
        return try #require(report["stages"] as? [[String: Any]])
    }

    private static func number(_ stage: [String: Any], _ key: String) throws -> Double {
        try #require((stage[key] as? NSNumber)?.doubleValue, "\(key) of \(stage)")
    }

    @Test func blocksThenChannelsByVoteThenALotteryTicket() async throws {
        let folder = try ScratchFolder()
        let stages = try await Self.stages(
            """
            model: {architecture: resnet20, width: 4, input: [1, 28, 28], classes: 10}
            data: "synthetic:digits?partition=dirichlet:1&seed=7&samples=200"
            stages:
              - train: {rounds: 1}
              - prune: {granularity: layer, criterion: fisher, sparsity: 0.25, schedule: oneShot, scoreSamples: 32}
              - prune: {granularity: channel, criterion: stability, rule: majority, multiple: 1, sparsity: 0.3,
                        schedule: oneShot, scoreSamples: 32}
              - prune: {schedule: lottery, sparsity: 0.5, steps: 2, rewind: 1}
            """, in: folder)
        let sizes = try stages.map { try Self.number($0, "parametersAfter") }
        #expect(sizes[0] > sizes[1] && sizes[1] > sizes[2] && sizes[2] == sizes[3], "\(sizes)")
        let macs = try stages.map { try Self.number($0, "macsAfter") }
        #expect(macs[0] > macs[1] && macs[1] > macs[2])
        #expect(try abs(Self.number(stages[3], "sparsity") - 0.5) < 0.01)
    }

    @Test func aUnionThenRegrowthThenTwoOfFour() async throws {
        let folder = try ScratchFolder()
        let stages = try await Self.stages(
            """
            model: {architecture: cnn, width: 4}
            data: "synthetic:digits?partition=classes:5&seed=7&samples=200"
            stages:
              - train: {rounds: 1}
              - prune: {criterion: taylor, rule: union, sparsity: 0.3, schedule: oneShot, scoreSamples: 32}
              - prune: {criterion: stability, schedule: dynamic, sparsity: 0.4, steps: 3, scoreSamples: 32}
              - prune: {granularity: "2:4", criterion: lamp}
            """, in: folder)
        let sparsities = try stages.map { try Self.number($0, "sparsity") }
        // What anybody keeps stays, so a union masks no more than each worker would.
        #expect(sparsities[1] > 0 && sparsities[1] <= 0.31, "\(sparsities)")
        #expect(abs(sparsities[2] - 0.4) < 0.01 && sparsities[3] > 0.48, "\(sparsities)")
        let log = try String(contentsOfFile: folder.path + "/state/logs/coordinator.jsonl", encoding: .utf8)
        #expect(log.contains("\"signalToNoise\":"))
    }

    @Test func attentionHeadsLeave() async throws {
        let folder = try ScratchFolder()
        for (place, count) in [("windows", 96), ("windows/test", 32)] {
            try FileManager.default.createDirectory(
                atPath: "\(folder.path)/\(place)", withIntermediateDirectories: true)
            let labels = (0..<count).map { Int64($0 % 2) }
            // Whether a token of the upper half is among them.
            var tokens: [Int64] = []
            for (index, label) in labels.enumerated() {
                for place in 0..<8 {
                    let low = Int64((index * 5 + place * 3) % 8)
                    tokens.append(place == index % 8 ? low + 8 * label : low)
                }
            }
            try Self.npy(tokens, [count, 8]).write(to: URL(fileURLWithPath: "\(folder.path)/\(place)/x.npy"))
            try Self.npy(labels, [count]).write(to: URL(fileURLWithPath: "\(folder.path)/\(place)/y.npy"))
        }
        let made = try await PleachProcess.run([
            "model", "new", "transformer", "--input", "8", "--vocabulary", "16", "--classes", "2", "--width", "16",
            "--depth", "2", "--heads", "4", "--out", folder.path + "/transformer.onnx",
        ])
        #expect(made.status == 0, "\(made.text)")
        let stages = try await Self.stages(
            """
            model: {file: "\(folder.path)/transformer.onnx"}
            data: "npy:\(folder.path)/windows?partition=iid&seed=7"
            stages:
              - train: {rounds: 1, optimizer: adamw, learningRate: 0.001}
              - prune: {granularity: head, criterion: gradientNorm, sparsity: 0.5, schedule: oneShot, scoreSamples: 32,
                        learningRate: 0.001, teacher: {stage: 1}}
            """, in: folder)
        // A head of 4 of the 16 dimensions: three matrices and biases that make it, one that reads it; half of 8 go.
        let gone = try Self.number(stages[0], "parametersAfter") - Self.number(stages[1], "parametersAfter")
        let head = 3 * (4 * 16 + 4) + 4 * 16
        #expect(gone == Double(4 * head))
    }

    /// An .npy file, version 1.0, of little-endian int64.
    private static func npy(_ values: [Int64], _ shape: [Int]) -> Data {
        let extents = shape.map { "\($0), " }.joined()
        var header = "{'descr': '<i8', 'fortran_order': False, 'shape': (\(extents)), }"
        let padding: Int = 63 - (10 + header.count) % 64
        header += String(repeating: " ", count: padding) + "\n"
        var data = Data([0x93])
        data.append(contentsOf: Array("NUMPY".utf8))
        data.append(contentsOf: [1, 0, UInt8(header.count), 0])
        data.append(contentsOf: Array(header.utf8))
        for value in values { withUnsafeBytes(of: value.littleEndian) { data.append(contentsOf: $0) } }
        return data
    }
}
