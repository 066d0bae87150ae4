import ArgumentParser
import Compression
import Coordinator
import Federation
import Ledger
import ModelGraph
import Shell
import UpdateCodec

struct ModelExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a snapshot of a run as a float32 ONNX file.",
        discussion: """
            SNAPSHOT is STATE or STATE@VERSION; without a version it is the newest. Kept are the first, the newest and \
            the last of each stage. Example: pleach model export pleach-state@8 --out dense.onnx
            """)

    @Argument(help: "STATE or STATE@VERSION.")
    var snapshot: String

    @Option(help: "The ONNX file to write.")
    var out: String

    @Flag(help: "Keep BatchNormalization, so that the file can be trained on.")
    var keepBatchNormalization = false

    func run() async throws {
        try await exitingOnError {
            let parts = snapshot.split(separator: "@", maxSplits: 1).map(String.init)
            let directory = parts.first ?? snapshot
            let history = try historyFromState(directory)
            let wanted = parts.count == 2 ? Int(parts[1]) : history.snapshots.count - 1
            guard let version = wanted, history.snapshots.indices.contains(version) else {
                throw ValidationError("\(directory) has snapshots 0 to \(history.snapshots.count - 1)")
            }
            let facts = history.snapshots[version]
            let blobs = try BlobStore(directory: directory + "/blobs", readOnly: true)
            guard blobs.contains(facts.snapshot.digest) else {
                let kept = CoordinatorMachine.versionsToKeep(history).sorted().map(String.init).joined(separator: ", ")
                throw ValidationError("snapshot \(version) was not kept; kept are \(kept)")
            }
            let value = try Snapshot(parsing: blobs.get(facts.snapshot.digest), path: "snapshot \(version)")
            // Rounding that training simulates is no part of a model's file.
            let graph = try blobs.graph(facts.graph.digest, parameters: value.parameters)
                .withoutSimulatedQuantization().graph
            let exported = keepBatchNormalization ? graph : try CompactModel.float32(graph: graph, opset: graph.opset)
            let bytes = exported.serialized()
            try writeFile(bytes, to: out)
            print("\(out): snapshot \(version) (\(facts.snapshot.digest)), \(bytes.count) bytes")
        }
    }
}
