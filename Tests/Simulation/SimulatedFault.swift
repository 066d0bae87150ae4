/// Everything that may go wrong in a simulation. Each is counted where it takes effect, so that a campaign can show that
/// none of them is only written down.
public enum SimulatedFault: Int, CaseIterable, Sendable {
    // Network.
    case messageLost, messageDuplicated, messageReordered, connectionBroken, departureUnnoticed
    case partition, asymmetricPartition, coordinatorUnreachable
    case transferBroken, transferResumed, wrongBytes
    // Clocks.
    case stall
    // Processes.
    case coordinatorKilled, coordinatorPowerLost, coordinatorStopped, killedBetweenActions, killedBetweenCommitAndSend
    case workerKilled, workerPowerLost, workerStopped, workerKilledBetweenActions, killedBetweenMemoryAndSend
    case runGaveUp, workerGaveUp
    // Disks.
    case fullDiskAtCommit, fullDiskAtArrival, fullDiskAtStep, fullDiskAtMemory, fullDiskAtResult, fullDiskAtFetch
    case tornBlob, snapshotLost, snapshotCorrupt
    // Workers that are allowed but hostile or broken.
    case hostileGarbage, hostileMutation, hostileReplay, hostileRound, hostileSize, hostileMetrics, hostileResult
    case hostileSilence, hostileFlood, hostileHeartbeat, hostileDecline, hostileClaim, hostileVersion, hostileForgery
    case refusedExamination
}

/// How often each fault took effect.
public struct FaultCounts: Sendable, Equatable {
    private var counts = [Int](repeating: 0, count: SimulatedFault.allCases.count)

    public init() {}

    public subscript(fault: SimulatedFault) -> Int { counts[fault.rawValue] }

    mutating func note(_ fault: SimulatedFault) { counts[fault.rawValue] += 1 }

    public static func += (a: inout FaultCounts, b: FaultCounts) {
        for index in a.counts.indices { a.counts[index] += b.counts[index] }
    }
}

/// Shells that break a promise on purpose: the invariants must catch each, or they check nothing.
public enum BrokenShell: String, CaseIterable, Sendable {
    /// Sends before it commits.
    case sendsBeforeCommit
    /// Loses the ledger's last record when the power fails, as a ledger that is not synced would.
    case losesLastRecord
    /// Answers `remember` without writing anything.
    case forgetsMemory
    /// Writes the residual that would follow as if the contribution were accepted already.
    case advancesResidualEarly
    /// Folds what was examined twice.
    case foldsTwice
    /// Believes an arriving blob without comparing its digest.
    case trustsAnyBytes
    /// Never ticks its coordinator: rounds wait silently.
    case neverTicks
}
