import Engine
import Federation
import Foundation
import Ledger
import Monitor
import Synchronization
import Transport

/// How to start a worker.
public struct WorkerOptions: Sendable {
    public var coordinator: String
    /// A Z85 key or the path of a `.key` file.
    public var serverKey: String
    public var data: DataSpec
    /// Of ensembles: the set that all workers have,
    public var publicData: DataSpec?
    /// and whose model this one brings.
    public var student: StudentSource
    public var name: String
    public var state: String
    public var threads: Int
    /// How wide a model it can train, as a share of the channels: above 0, at most 1.
    public var strength: Double
    /// The ONNX file of a teacher of its own, which stays here; nil for none.
    public var teacher: String?
    /// How long to try to reach the coordinator before giving up.
    public var patienceSeconds: Double
    /// Largest blob in either direction.
    public var blobBytes: Int
    /// For benchmarks: no training, noise is added to the parameters, everything else is real.
    public var echoes: Bool

    public init(
        coordinator: String, serverKey: String, data: DataSpec, name: String, state: String, threads: Int,
        strength: Double = 1, teacher: String? = nil, patienceSeconds: Double, blobBytes: Int = 4 << 30,
        echoes: Bool = false, publicData: DataSpec? = nil, student: StudentSource = .shared
    ) {
        self.coordinator = coordinator
        self.serverKey = serverKey
        self.data = data
        self.name = name
        self.state = state
        self.threads = threads
        self.strength = strength
        self.teacher = teacher
        self.patienceSeconds = patienceSeconds
        self.blobBytes = blobBytes
        self.echoes = echoes
        self.publicData = publicData
        self.student = student
    }
}

/// The worker's shell: feeds events to a `WorkerMachine` and performs its actions. Holds no protocol decision.
public actor WorkerService {
    private let options: WorkerOptions
    private let store: WorkerStore
    private let tasks: TaskThread
    private let sink: @Sendable (LogEvent) -> Void
    private let inputs: AsyncStream<WorkerEvent>
    private let feed: AsyncStream<WorkerEvent>.Continuation
    private var machine: WorkerMachine
    private var client: Client?
    private var outcome: WorkerOutcome?
    private let clock = ContinuousClock()
    private let startedAt: ContinuousClock.Instant

    /// Opens the state folder and loads the data; nothing is sent yet.
    /// - Parameter sink: receives every log event.
    public init(_ options: WorkerOptions, sink: @escaping @Sendable (LogEvent) -> Void) throws {
        self.options = options
        self.sink = sink
        EngineRuntime.setThreads(options.threads)
        var data = try WorkerData(spec: options.data)
        data.publicSet = try options.publicData.map { try PublicSet(spec: $0) }
        data.student = try OwnStudent(options.student, data: data)
        let teacher = options.teacher.map(OwnTeacher.init)
        let teacherClasses = try teacher?.classes()
        store = try WorkerStore(directory: options.state)
        (inputs, feed) = AsyncStream.makeStream(of: WorkerEvent.self)
        let feed = feed
        tasks = TaskThread(
            blobs: store.blobs, directory: options.state, data: data, ownTeacher: teacher,
            threads: options.threads,
            echoes: options.echoes, log: sink
        ) { feed.yield($0) }
        startedAt = ContinuousClock.now
        let recovered = try store.recover(store.loadMemory())
        for loss in recovered.losses { sink(LogEvent("diagnostic", level: .error, ["message": .string(loss)])) }
        machine = WorkerMachine(
            hello: data.hello(
                threads: options.threads, strength: options.strength, teacherClasses: teacherClasses),
            memory: recovered.memory, canSubmit: recovered.canSubmit, held: store.heldSnapshots(),
            patienceSeconds: options.patienceSeconds, at: 0)
    }

    /// This worker's public key, for the coordinator's allow-list.
    public nonisolated var publicKey: String { store.keys.publicKey }

    /// What is under way, for a terminal.
    public func liveBars() -> [LiveBar] {
        machine.activity.map { [LiveBar(label: "round \($0.round) \($0.task)", task: $0.progress)] } ?? []
    }

    /// Asks the worker to say goodbye and end.
    public nonisolated func stop() { feed.yield(.stopRequested) }

    /// Works until the run is over or the worker is told to stop.
    public func run() async throws -> WorkerOutcome {
        let serverKey = try KeyFile.readPublic(options.serverKey)
        let client = try Client(
            connect: options.coordinator, keys: store.keys, serverKey: serverKey,
            limits: Limits(maximumBlobBytes: options.blobBytes),
            blobs: store.access)
        self.client = client
        let feed = feed
        // What the network brings waits in the transport's bounded queue until it is taken here, one after another.
        let forwarding = Task {
            for await event in client.events {
                self.logTransfer(event)
                if let event = WorkerEvent(event) { self.take(event) }
            }
        }
        let ticking = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(250))
                feed.yield(.ticked)
            }
        }
        defer {
            forwarding.cancel()
            ticking.cancel()
            client.close()
            tasks.wait()
        }
        for await event in inputs {
            take(event)
            if outcome != nil { break }
        }
        return outcome ?? .stopped
    }

    /// Feeds one event to the machine and carries out what it says; nothing more once the worker has ended.
    private func take(_ event: WorkerEvent) {
        guard outcome == nil, let client else { return }
        for action in machine.receive(event, at: now) {
            guard let end = perform(action, on: client) else { continue }
            outcome = end
            feed.finish()
            return
        }
    }

    /// Says in the log which blob came or went.
    private func logTransfer(_ event: ClientEvent) {
        let (bytes, size, direction): ([UInt8], Int?, String)
        switch event {
        case .blobArrived(let digest):
            (bytes, size, direction) = (digest, Digest(bytes: digest).flatMap { try? store.blobs.size(of: $0) }, "down")
        case .blobSent(let digest, let count): (bytes, size, direction) = (digest, count, "up")
        default: return
        }
        guard let digest = Digest(bytes: bytes), let size else { return }
        sink(
            LogEvent(
                EventName.transferFinished, level: .debug,
                ["digest": .string(digest.hex), "bytes": .int(size), "direction": .string(direction)]))
    }

    private var now: Double { (clock.now - startedAt) / .seconds(1) }

    /// Does one action; returns the outcome when the machine is done.
    private func perform(_ action: WorkerAction, on client: Client) -> WorkerOutcome? {
        switch action {
        case .remember(let memory):
            do {
                try store.save(memory)
            } catch {
                // What cannot be remembered must not be promised: stop before anything is sent.
                let isFull = (error as? LedgerError)?.isDiskFull == true
                return isFull ? .diskFull(reason: "\(error)") : .failed(reason: "\(error)")
            }
        case .send(let message): client.send(message.encoded())
        case .fetch(let blob): client.fetch(digest: blob.digest.bytes, byteCount: blob.byteCount)
        case .prepare(let offer): tasks.prepare(offer, memory: machine.memory)
        case .run(let offer, let residual, let member):
            tasks.run(offer, residual: residual, member: member)
        case .cancel(let round): tasks.cancel(round: round)
        case .log(let event): sink(event)
        case .finish(let outcome):
            tasks.cancelAll()
            return outcome
        }
        return nil
    }
}

extension WorkerEvent {
    /// What a transport event means to the machine; nil for those that only concern the transport.
    fileprivate init?(_ event: ClientEvent) {
        switch event {
        case .connected: self = .connected
        case .disconnected(let reason): self = .disconnected(reason: reason)
        // No fault of the key's: there may be room later.
        case .refused(let error) where error.isServerFull: self = .disconnected(reason: "\(error)")
        case .refused(let error): self = .turnedAway(reason: "\(error)")
        case .message(let bytes):
            do {
                self = .received(try CoordinatorMessage(decoding: bytes))
            } catch {
                self = .malformed(reason: "\(error)")
            }
        case .blobArrived(let digest):
            guard let digest = Digest(bytes: digest) else { return nil }
            self = .blobArrived(digest)
        case .blobFailed(_, .storage(let reason, isDiskFull: true)): self = .diskFull(reason: reason)
        case .blobFailed(let digest, let failure):
            guard let digest = Digest(bytes: digest) else { return nil }
            self = .blobFailed(digest, reason: failure.reason)
        case .blobProgress(_, let received, let total):
            self = .blobProgressed(share: total > 0 ? Double(received) / Double(total) : 1)
        default: return nil
        }
    }
}

extension WorkerData {
    /// Loads the training and test shards of one SPEC.
    init(spec: DataSpec) throws(DataError) {
        training = try Dataset.load(spec.with(split: .train))
        test = try Dataset.load(spec.with(split: .test))
    }

    /// What a worker with these data says of itself.
    func hello(threads: Int, strength: Double, teacherClasses: Int?) -> Hello {
        Hello(
            software: softwareVersion, trainingSamples: training.count, testSamples: test.count,
            classes: training.classCount, sampleShape: training.sampleShape.dimensions, threads: threads,
            strength: strength, publicSet: publicSet?.name, studentParameters: student?.parameterCount ?? 0,
            studentClasses: student?.fixedClasses, teacherClasses: teacherClasses)
    }
}
