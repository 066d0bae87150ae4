import Federation

/// What the page shows of this moment. Bounded whatever the fleet: the rest of it is asked for by `/fleet.json`.
struct PageState: Sendable, Equatable, Encodable {
    /// Some of many workers.
    struct Workers: Sendable, Equatable, Encodable {
        var total: Int
        var rows: [RunStatus.Worker]
    }

    /// An open round without its names: `missing` has them.
    struct Round: Sendable, Equatable, Encodable {
        var number: Int
        var stage: Int
        var kind: String
        var task: String
        var contributions: Int
        var workers: Int
        var quorum: Int
        var ageSeconds: Double?
        var deadlineSeconds: Double
    }

    struct StateCount: Sendable, Equatable, Encodable {
        var state: String
        var count: Int
    }

    var run: String
    var plan: String
    var state: String
    var stage: Int
    var stages: Int
    var stageKind: String?
    var round: Round?
    var roundsCompleted: Int
    var roundsPlanned: Int
    var contributionsAccepted: Int
    var contributionsRefused: Int
    var wireBytesUp: Int
    var wireBytesDown: Int
    var wireBytesFloat32: Int
    var sparsity: Double
    var accuracy: Double?
    var snapshot: String?
    var waitingFor: String?
    /// Whom the open round waits for, who keeps it longest first.
    var missing: Workers
    /// Workers that the round asks for and nobody has heard of yet.
    var unknownWorkers: Int
    var fleet: Workers
    var fleetStates: [StateCount]
    var residentBytes: Int
    var peakBytes: Int

    static let missingLimit = 50
    static let fleetLimit = 100

    init(_ status: RunStatus, memory: (resident: Int, peak: Int)) {
        (run, plan, state, stage) = (status.run, status.plan, status.state, status.stage)
        stages = status.stages.count
        stageKind = status.stages.indices.contains(status.stage) ? status.stages[status.stage] : nil
        round = status.round.map {
            Round(
                number: $0.number, stage: $0.stage, kind: $0.kind, task: $0.task, contributions: $0.contributions,
                workers: $0.workers, quorum: $0.quorum, ageSeconds: $0.ageSeconds, deadlineSeconds: $0.deadlineSeconds)
        }
        (roundsCompleted, roundsPlanned) = (status.roundsCompleted, status.roundsPlanned)
        (contributionsAccepted, contributionsRefused) = (status.contributionsAccepted, status.contributionsRefused)
        (wireBytesUp, wireBytesDown) = (status.wireBytesUp, status.wireBytesDown)
        wireBytesFloat32 = status.wireBytesFloat32
        (sparsity, accuracy, snapshot, waitingFor) = (
            status.sparsity, status.accuracy, status.snapshot, status.waitingFor
        )
        let awaited = status.round == nil ? [] : status.workers.filter(\.isAwaited)
        missing = Self.mostUrgent(of: awaited, limit: Self.missingLimit)
        unknownWorkers = max(0, (status.round?.workers ?? 0) - status.workers.count)
        fleet = Self.fleet(of: status, search: "", state: nil, limit: Self.fleetLimit)
        fleetStates = Metrics.workerStates.compactMap { state in
            let count = status.workers.count { $0.state == state }
            return count > 0 ? StateCount(state: state, count: count) : nil
        }
        (residentBytes, peakBytes) = memory
    }

    /// The workers whose name contains `search`, whatever the case, and whose state is `state`.
    static func fleet(of status: RunStatus, search: String, state: String?, limit: Int) -> Workers {
        let wanted = search.lowercased()
        let found = status.workers.filter { worker in
            (state == nil || worker.state == state) && (wanted.isEmpty || worker.name.lowercased().contains(wanted))
        }
        return mostUrgent(of: found, limit: limit)
    }

    /// Late and lost ones first, then by the time that their task takes; equal ones by name.
    private static func mostUrgent(of workers: [RunStatus.Worker], limit: Int) -> Workers {
        let keys = workers.map { ranks[$0.state] ?? ranks.count }
        let order = workers.indices.sorted { a, b in
            if keys[a] != keys[b] { return keys[a] < keys[b] }
            let (old, new) = (workers[a].taskSeconds ?? 0, workers[b].taskSeconds ?? 0)
            return old != new ? old > new : workers[a].name < workers[b].name
        }
        return Workers(total: workers.count, rows: order.prefix(limit).map { workers[$0] })
    }

    private static let ranks = ["late": 0, "lost": 1, "working": 2, "ready": 3, "contributed": 4, "left": 5]

    /// Without what changes all the time: equal for two moments between which nothing happened.
    var withoutAges: PageState {
        var state = self
        state.round?.ageSeconds = nil
        state.missing.rows = state.missing.rows.map(\.withoutAges)
        state.fleet.rows = state.fleet.rows.map(\.withoutAges)
        (state.residentBytes, state.peakBytes) = (0, 0)
        return state
    }
}

extension RunStatus.Worker {
    fileprivate var withoutAges: RunStatus.Worker {
        var worker = self
        (worker.secondsSinceSeen, worker.taskSeconds) = (nil, nil)
        return worker
    }
}
