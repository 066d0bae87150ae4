// Monitor shows a run to people and machines: event lines in files (`EventWriter`, `EventFile`), the terminal
// (`HumanRenderer`), a status page with metrics (`StatusServer`) and the closing report (`Report`).
// Invariants: watching never stops or slows a run, whatever the disk or the terminal does; names and fields are those of
// `protocols/log-events.md`; strings from the network reach a terminal, a page or a metric escaped only.
// Left out: deciding anything. Nothing here feeds back into a machine.

/// The stable names of events, as `protocols/log-events.md` lists them.
public enum EventName {
    public static let runStarted = "run.started"
    public static let runResumed = "run.resumed"
    public static let runFinished = "run.finished"
    public static let runFailed = "run.failed"
    public static let runStopped = "run.stopped"
    public static let runWaiting = "run.waiting"
    public static let workerJoined = "worker.joined"
    public static let workerLeft = "worker.left"
    public static let workerLost = "worker.lost"
    public static let workerRefused = "worker.refused"
    public static let stageStarted = "stage.started"
    public static let stageFinished = "stage.finished"
    public static let roundOpened = "round.opened"
    public static let roundWaiting = "round.waiting"
    public static let roundClosed = "round.closed"
    public static let taskAssigned = "task.assigned"
    public static let taskStarted = "task.started"
    public static let taskFinished = "task.finished"
    public static let contributionAccepted = "contribution.accepted"
    public static let contributionRefused = "contribution.refused"
    public static let snapshotPublished = "snapshot.published"
    public static let maskDecided = "mask.decided"
    public static let layersFactorized = "layers.factorized"
    public static let layersQuantized = "layers.quantized"
    public static let transferFinished = "transfer.finished"
    public static let exportFinished = "export.finished"
    public static let diagnostic = "diagnostic"

    /// Every name, in the catalogue's order.
    public static let all = [
        runStarted, runResumed, runFinished, runFailed, runStopped, runWaiting, workerJoined, workerLeft, workerLost,
        workerRefused,
        stageStarted, stageFinished, roundOpened, roundWaiting, roundClosed, taskAssigned, taskStarted, taskFinished,
        contributionAccepted, contributionRefused, snapshotPublished, maskDecided, layersFactorized, layersQuantized,
        transferFinished, exportFinished, diagnostic,
    ]
}
