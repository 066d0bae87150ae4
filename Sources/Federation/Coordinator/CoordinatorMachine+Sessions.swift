import Tensors

// Sessions: who is there, and what each message is for.

extension CoordinatorMachine {
    mutating func onMessage(
        _ message: WorkerMessage, session: SessionID, worker: String, at now: Double
    ) -> [CoordinatorAction] {
        // Who only asks is no worker: its name may be one's that is at work at this moment.
        if case .inquiry(let hello) = message { return [.send(answer(toInquiry: hello, of: worker), session)] }
        lastSeen[worker] = now
        if case .hello(let hello) = message { return onHello(hello, session: session, worker: worker, at: now) }
        guard sessions[session]?.worker == worker else {
            return [.send(.refusal(.unknownSession, reason: "say hello first"), session)]
        }
        sessions[session]?.lastSeenAt = now
        switch message {
        case .hello, .inquiry: preconditionFailure("handled above")
        case .ready(let held): return onReady(held, session: session, worker: worker, at: now)
        case .heartbeat(let round, let progress):
            onHeartbeat(round: round, progress: progress, session: session, worker: worker, at: now)
            return []
        case .submission(let submission): return onSubmission(submission, session: session, worker: worker, at: now)
        case .decline(let round, let reason): return onDecline(round: round, reason: reason, worker: worker, at: now)
        case .goodbye(let reason): return onGoodbye(reason, session: session, at: now)
        }
    }

    private mutating func onHello(_ hello: Hello, session: SessionID, worker: String, at now: Double)
        -> [CoordinatorAction]
    {
        if let (code, reason) = objection(to: hello) { return refuse(session, worker, code, reason) }
        if let owner = sessions[session]?.worker, owner != worker {
            return refuse(session, worker, .unknownSession, "this connection is another worker's")
        }
        // A worker has one session: a newer one replaces it, and its lease moves along.
        let isNew = !sessions.values.contains { $0.worker == worker }
        for (old, value) in sessions where value.worker == worker && old != session { sessions[old] = nil }
        leases[worker]?.session = session
        // It may have lost its task with its process: when it asks for work, it gets the same task at once.
        leases[worker]?.offeredAt = -.infinity
        if case .fetching? = leases[worker]?.progress { leases[worker]?.progress = .working }
        sessions[session] = Session(worker: worker, hello: hello, lastSeenAt: now)
        var actions = namePublicSet(hello, worker: worker)
        if isNew {
            actions.append(
                .log(
                    LogEvent(
                        "worker.joined",
                        [
                            "worker": .string(worker), "samples": .int(hello.trainingSamples),
                            "classes": .int(hello.classes), "threads": .int(hello.threads),
                            "version": .string(hello.software),
                        ])))
        }
        actions.append(.send(welcome(hello, worker: worker), session))
        return actions
    }

    private func welcome(_ hello: Hello, worker: String) -> CoordinatorMessage {
        .welcome(
            version: min(hello.maximumVersion, supportedProtocolVersions.upperBound), run: history.run ?? "",
            heartbeatSeconds: plan.fleet.heartbeatSeconds, acceptedRounds: history.acceptedRounds[worker] ?? 0)
    }

    /// What a hello would be answered. One without samples only wants to know whether it is understood.
    func answer(toInquiry hello: Hello, of worker: String) -> CoordinatorMessage {
        if let (code, reason) = objection(to: hello), code != .data || hello.trainingSamples > 0 {
            return .refusal(code, reason: reason)
        }
        return welcome(hello, worker: worker)
    }

    /// Why a worker cannot take part, or nil.
    private func objection(to hello: Hello) -> (RefusalCode, String)? {
        let spoken = max(hello.minimumVersion, supportedProtocolVersions.lowerBound)
        guard spoken <= min(hello.maximumVersion, supportedProtocolVersions.upperBound) else {
            let reason =
                "worker speaks protocol \(hello.minimumVersion) to \(hello.maximumVersion), this coordinator "
                + "\(supportedProtocolVersions.lowerBound) to \(supportedProtocolVersions.upperBound): install matching versions"
            return (.version, reason)
        }
        return mismatch(hello).map { (.data, $0) }
    }

    private func refuse(
        _ session: SessionID, _ worker: String, _ code: RefusalCode, _ reason: String
    ) -> [CoordinatorAction] {
        [
            .log(LogEvent("worker.refused", level: .warning, ["worker": .string(worker), "reason": .string(reason)])),
            .send(.refusal(code, reason: reason), session),
        ]
    }

    /// Why a worker's data does not fit the model, or nil.
    private func mismatch(_ hello: Hello) -> String? {
        guard let model = history.model else { return nil }
        let expected = model.sampleShape
        let fits =
            expected.count == hello.sampleShape.count
            && zip(expected, hello.sampleShape).allSatisfy { $0 == nil || $0 == $1 }
        guard fits || expected.isEmpty else {
            let declared = expected.map { $0.map(String.init) ?? "?" }.joined(separator: "x")
            let found = hello.sampleShape.map(String.init).joined(separator: "x")
            return "the worker's samples are \(found) but the model takes \(declared): give the worker matching --data"
        }
        if let classes = model.classes, hello.classes > classes {
            return "the worker's labels have \(hello.classes) classes but the model has \(classes) outputs"
        }
        if plan.needsOwnTeachers {
            guard let classes = hello.teacherClasses else {
                return "the plan's stages learn from a teacher of the worker's own: start it with --teacher FILE"
            }
            if let needed = model.classes, classes != needed {
                return
                    "the worker's teacher has \(classes) classes but the model has \(needed): give a matching --teacher"
            }
        }
        if hello.classes == 0, let need = plan.needOfClasses { return need }
        return publicMismatch(hello)
    }

    private mutating func onGoodbye(_ reason: String, session: SessionID, at now: Double) -> [CoordinatorAction] {
        guard let worker = sessions.removeValue(forKey: session)?.worker else { return [] }
        sentHome.insert(worker)
        return [left(worker, event: "worker.left", reason: reason)] + dropLease(of: worker, at: now)
    }

    /// A broken connection is not a lost worker yet: its lease waits for it to come back.
    mutating func onDeparted(_ session: SessionID, at now: Double) -> [CoordinatorAction] {
        guard let worker = sessions.removeValue(forKey: session)?.worker else { return [] }
        if case .fetching? = leases[worker]?.progress { leases[worker]?.progress = .working }
        guard leases[worker] == nil else { return [] }
        return [left(worker, event: "worker.lost", reason: "its connection broke")]
    }

    func left(_ worker: String, event: String, reason: String) -> CoordinatorAction {
        .log(LogEvent(event, level: .warning, ["worker": .string(worker), "reason": .string(reason)]))
    }

    /// Takes a task away from a worker, unless its result is being examined right now.
    mutating func dropLease(of worker: String, at now: Double) -> [CoordinatorAction] {
        if leases[worker]?.isExamining != true { leases[worker] = nil }
        return assignTasks(at: now)
    }
}
