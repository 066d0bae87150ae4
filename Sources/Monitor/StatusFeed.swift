import Federation
import Foundation

/// Brings what the coordinator knows to those who ask. Asked once for all who look within a moment, encoded once for as long as
/// it stays the same; both happen here, away from the thread that serves the connections.
actor StatusFeed {
    /// What the page is sent.
    struct Frame: Sendable {
        /// Grows when something but an age or the memory changed.
        var number = 0
        /// `PageState`, and `RunCourse` with the layers, as JSON on one line.
        var live: [UInt8] = []
        var course: [UInt8] = []
        /// Grows when `course` changes.
        var courseNumber = 0
    }

    /// For so long a picture serves whoever asks.
    private static let freshness = Duration.milliseconds(250)
    /// Between two frames of a stream, the same moments for all streams.
    private static let pause = Duration.seconds(1)

    private struct Newest: Sendable {
        var picture: RunPicture
        var at: ContinuousClock.Instant
    }

    private let source: @Sendable () async -> RunPicture
    private let patience: Duration
    private var newest: Newest?
    /// At most one question at a time, which everybody waits for.
    private var asking: Task<Newest?, Never>?
    private var shown = Frame()
    private var shownPage: PageState?
    private var shownCourse: PageCourse?
    /// Of the picture that `shown` was made of.
    private var shownAt: ContinuousClock.Instant?
    private var moment: Task<Void, Never>?
    /// Whether the coordinator ends.
    private(set) var isClosing = false

    /// - Parameter patience: how long the coordinator may take to answer.
    init(patience: Duration, source: @escaping @Sendable () async -> RunPicture) {
        self.patience = patience
        self.source = source
    }

    /// The run now, or a moment ago; nil when the coordinator does not answer, or the task was cancelled.
    func picture() async -> RunPicture? { await refreshed()?.picture }

    /// The newest frame; nil as `picture` is.
    func frame() async -> Frame? {
        guard let newest = await refreshed() else { return nil }
        if shownAt.map({ $0 < newest.at }) ?? true { show(newest) }
        return shown
    }

    private func show(_ newest: Newest) {
        shownAt = newest.at
        let page = PageState(newest.picture.status, memory: (ProcessMemory.residentBytes, ProcessMemory.peakBytes))
        if shownPage != page.withoutAges {
            shownPage = page.withoutAges
            shown.number += 1
        }
        shown.live = PageJSON.encode(page)
        let course = PageCourse(course: newest.picture.course, layers: newest.picture.layers)
        if shownCourse?.isSame(as: course) != true {
            shownCourse = course
            shown.course = PageJSON.encode(course)
            shown.courseNumber += 1
        }
    }

    private func refreshed() async -> Newest? {
        if let newest, .now - newest.at < Self.freshness { return newest }
        let question = asking ?? ask()
        asking = question
        // Tasks are cancelled only when the server ends: then nobody else waits either.
        let found = await withTaskCancellationHandler {
            await question.value
        } onCancel: {
            question.cancel()
        }
        if asking == question {
            asking = nil
            newest = found
        }
        return found
    }

    /// The coordinator's answer, or nil once it has taken too long: whichever comes first.
    private func ask() -> Task<Newest?, Never> {
        let (outcomes, outcome) = AsyncStream<RunPicture?>.makeStream(bufferingPolicy: .bufferingOldest(1))
        let at = ContinuousClock.now
        let answer = Task { [source] in outcome.yield(await source()) }
        let limit = Task { [patience] in
            try? await Task.sleep(for: patience)
            outcome.yield(nil)
        }
        return Task {
            defer {
                answer.cancel()
                limit.cancel()
            }
            for await first in outcomes { return first.map { Newest(picture: $0, at: at) } }
            return nil
        }
    }

    /// Waits until the next moment, or until the feed closes; returns whether it is closing.
    func nextMoment() async -> Bool {
        if isClosing { return true }
        let waiting = moment ?? Task { try? await Task.sleep(for: Self.pause) }
        moment = waiting
        await waiting.value
        if moment == waiting { moment = nil }
        return isClosing
    }

    /// Wakes everybody who waits: a last frame, of a picture that is asked for from here on, then the end.
    func close() {
        isClosing = true
        newest = nil
        asking = nil
        moment?.cancel()
    }
}

/// JSON on one line; a number that is none is the text `NaN`, which the page shows as unknown.
enum PageJSON {
    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        guard let data = try? encoder.encode(value) else { preconditionFailure("a page's values can be encoded") }
        return Array(data)
    }
}
