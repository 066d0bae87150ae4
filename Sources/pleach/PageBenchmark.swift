import Coordinator
import Federation
import Foundation
import Monitor
import Synchronization

/// A made-up run behind a real status server.
final class PageBenchmark: Sendable {
    struct Answer: Encodable, Sendable {
        var path: String
        var bytes: Int
        var medianMilliseconds: Double
        var longestMilliseconds: Double
    }

    struct Figures: Encodable, Sendable {
        var workers: Int
        var rounds: Int
        var answers: [Answer]
        /// Processor time over time, of a page that is open while something happens every second.
        var openPageShare: Double
    }

    private struct BenchmarkFailure: Error, CustomStringConvertible {
        var description: String
    }

    private let workers: Int
    private let history: Mutex<RunHistory>

    init(workers: Int, rounds: Int) throws {
        self.workers = workers
        let plan = Plan(
            name: "page", seed: 1, model: .file("none.onnx"), data: nil,
            fleet: FleetRules(
                workers: workers, quorum: workers, deadlineSeconds: 600, waitSeconds: 60, leaseSeconds: 60),
            wire: WireRules(),
            stages: [.train(TrainPlan(rounds: (rounds + 1) / 2)), .train(TrainPlan(rounds: rounds / 2 + 2))],
            export: ExportPlan())
        var history = RunHistory(plan: plan)
        for record in Self.opening { history.apply(record) }
        var round = 0
        while history.roundsClosed < rounds, history.stageIndex < plan.stages.count {
            if history.step == nil {
                history.apply(.stageFinished(stage: history.stageIndex, seconds: Double(round)))
                continue
            }
            try Self.apply(round: round, workers: workers, to: &history)
            round += 1
        }
        guard let step = history.step, let task = step.task else {
            throw BenchmarkFailure(description: "the plan ended after \(round) rounds")
        }
        history.apply(.roundOpened(round: round, stage: history.stageIndex, task: task))
        self.history = Mutex(history)
    }

    private static let blob = BlobReference(digest: digest, byteCount: 20_000)
    private static var digest: Digest {
        guard let digest = Digest(bytes: [UInt8](repeating: 7, count: 32)) else { preconditionFailure("32 bytes") }
        return digest
    }

    private static var facts: SnapshotFacts {
        SnapshotFacts(
            version: 0, snapshot: blob, graph: blob, maskEpoch: 0, sparsity: 0.5,
            size: ModelSize(parameters: 100_000, macs: 1, bytes: 400_000))
    }

    private static var opening: [LedgerRecord] {
        let model = ModelFacts(source: "m", parameters: 100_000, bytes: 400_000, sampleShape: [1, 28, 28], classes: 10)
        return [.runStarted(run: "bench", plan: "page", model: model, teachers: [:]), .snapshotPublished(facts)]
    }

    private static func apply(round: Int, workers: Int, to history: inout RunHistory) throws {
        let task = history.step?.task ?? "train"
        history.apply(.roundOpened(round: round, stage: history.stageIndex, task: task))
        for worker in 0..<workers { accept(worker, round: round, &history) }
        let progress = Double(round) / 1000
        let outcome = StepOutcome(
            loss: 2.3 / (1 + progress), accuracy: task == "evaluate" ? 1 - 1 / (1 + progress) : nil, sparsity: 0.5,
            density: 0.05, bitsPerWeight: 0.4, foldSeconds: 0.01)
        let traffic = StepTraffic(
            wireBytesUp: 20_000 * workers, wireBytesDown: 21_000 * workers, float32BytesUp: 400_000 * workers,
            float32BytesDown: 400_000 * workers)
        history.apply(
            .stepFinished(
                round: round, stage: history.stageIndex, outcome: outcome, snapshot: nil, traffic: traffic, seconds: 1.5
            ))
    }

    private static func accept(_ worker: Int, round: Int, _ history: inout RunHistory) {
        let metrics = TaskMetrics(samples: 100, lossSum: 10, correct: 90, measured: 100)
        history.apply(
            .contributionAccepted(
                ContributionFacts(
                    round: round, worker: name(worker),
                    submission: Submission(round: round, blob: blob, metrics: metrics),
                    base: digest, weight: 100)))
    }

    private static func name(_ worker: Int) -> String { "site-\(worker)<b>&\"\"" }

    /// What the coordinator would say: something happened since it was last asked.
    private func picture() -> RunPicture {
        history.withLock { history in
            let next = (history.openRound?.accepted.count ?? 0) % workers
            Self.accept(next, round: history.openRound?.number ?? 0, &history)
            var status = RunStatus(history: history)
            let states = ["working", "contributed", "late", "lost", "ready"]
            status.workers = (0..<workers).map { index in
                RunStatus.Worker(
                    name: Self.name(index), state: states[index % states.count],
                    secondsSinceSeen: Double(index % 60) + 0.25, samples: 600,
                    task: RunStatus.TaskProgress(doing: "working", fraction: 0.5), taskSeconds: Double(index % 100))
            }
            let layers = (0..<200).map {
                LayerFigures(name: "layer\($0).weight", weights: 10_000, sparsity: 0.5, bits: 8)
            }
            return RunPicture(
                status: status, course: RunCourse(history: history), times: history.roundTimes, layers: layers)
        }
    }

    func run(requests: Int) async throws -> Figures {
        let server = try StatusServer(address: "127.0.0.1:0") { [self] in picture() }
        try await server.start()
        let url = "http://127.0.0.1:\(server.port ?? 0)"
        var answers: [Answer] = []
        for path in ["/", "/view.json", "/fleet.json?search=site-9", "/status.json", "/metrics", "/healthz"] {
            answers.append(try await measure(url, path, requests: requests))
        }
        let share = try await costOfAnOpenPage(port: server.port ?? 0)
        await server.stop()
        return Figures(
            workers: workers, rounds: history.withLock { $0.roundsClosed }, answers: answers, openPageShare: share)
    }

    private func measure(_ url: String, _ path: String, requests: Int) async throws -> Answer {
        var times: [Double] = []
        var bytes = 0
        for _ in 0..<requests {
            // Beyond the moment for which an answer is kept: each one is made anew.
            try await Task.sleep(for: .milliseconds(300))
            let started = ContinuousClock.now
            let answer = try await Self.get(url + path)
            times.append((ContinuousClock.now - started) / .milliseconds(1))
            guard answer.code == 200 else { throw BenchmarkFailure(description: "\(path) answered \(answer.code)") }
            bytes = answer.body.count
        }
        times.sort()
        return Answer(
            path: path, bytes: bytes, medianMilliseconds: times[times.count / 2], longestMilliseconds: times.last ?? 0)
    }

    /// The client blocks: on a thread of its own.
    private static func get(_ url: String) async throws -> (code: Int, head: String, body: [UInt8]) {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result { try StatusClient.get(url, timeoutSeconds: 30) as (Int, String, [UInt8]) })
            }
        }
    }

    private func costOfAnOpenPage(port: UInt16) async throws -> Double {
        let before = Self.processorSeconds
        let started = ContinuousClock.now
        // The stream never ends by itself: the client's time limit does it.
        let reader = Task { try? await Self.get("http://127.0.0.1:\(port)/events") }
        try await Task.sleep(for: .seconds(10))
        let share = (Self.processorSeconds - before) / ((ContinuousClock.now - started) / .seconds(1))
        reader.cancel()
        return share
    }

    private static var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
