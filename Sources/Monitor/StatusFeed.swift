import Federation
import Foundation
import Synchronization

/// Brings what the coordinator knows to the server's threads. Asked once for all who look within a moment, encoded once for as
/// long as it stays the same.
final class StatusFeed: Sendable {
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

    private struct Newest {
        var picture: RunPicture
        var at: ContinuousClock.Instant
    }

    private struct State {
        var newest: Newest?
        var frame = Frame()
        var shownPage: PageState?
        var shownCourse: PageCourse?
        /// Of the picture that `frame` was made of.
        var frameAt: ContinuousClock.Instant?
        var isClosing = false
    }

    private let source: @Sendable () async -> RunPicture
    private let patience: Duration
    private let state = Mutex(State())
    private let closing = NSCondition()

    /// - Parameter patience: how long the coordinator may take to answer.
    init(patience: Duration, source: @escaping @Sendable () async -> RunPicture) {
        self.patience = patience
        self.source = source
    }

    /// The run now, or a moment ago; nil when the coordinator does not answer. Blocks; only for threads of their own.
    func picture() -> RunPicture? { state.withLock { refresh(&$0) }?.picture }

    /// The newest frame. Blocks as `picture` does.
    func frame() -> Frame? {
        state.withLock { state in
            guard let newest = refresh(&state) else { return nil }
            guard state.frameAt != newest.at else { return state.frame }
            state.frameAt = newest.at
            let page = PageState(
                newest.picture.status, memory: (ProcessMemory.residentBytes, ProcessMemory.peakBytes))
            if state.shownPage != page.withoutAges {
                state.shownPage = page.withoutAges
                state.frame.number += 1
            }
            state.frame.live = PageJSON.encode(page)
            let course = PageCourse(course: newest.picture.course, layers: newest.picture.layers)
            if state.shownCourse?.isSame(as: course) != true {
                state.shownCourse = course
                state.frame.course = PageJSON.encode(course)
                state.frame.courseNumber += 1
            }
            return state.frame
        }
    }

    private func refresh(_ state: inout State) -> Newest? {
        let now = ContinuousClock.now
        if let newest = state.newest, now - newest.at < Self.freshness, !state.isClosing { return newest }
        guard let picture = ask() else { return nil }
        state.newest = Newest(picture: picture, at: now)
        return state.newest
    }

    /// Waits on this thread for an answer that is computed on the tasks' threads.
    private func ask() -> RunPicture? {
        let answered = DispatchSemaphore(value: 0)
        let answer = AnswerBox()
        let task = Task { [source] in
            let picture = await source()
            answer.value.withLock { $0 = picture }
            answered.signal()
        }
        let milliseconds = Int(patience / .milliseconds(1))
        guard answered.wait(timeout: .now() + .milliseconds(milliseconds)) == .success else {
            task.cancel()
            return nil
        }
        return answer.value.withLock { $0 }
    }

    private final class AnswerBox: Sendable {
        let value = Mutex<RunPicture?>(nil)
    }

    /// Waits until the next moment, or until the feed closes; returns whether it is closing.
    func waitForNext(seconds: Double) -> Bool {
        closing.lock()
        defer { closing.unlock() }
        if !isClosing { _ = closing.wait(until: Date(timeIntervalSinceNow: seconds)) }
        return isClosing
    }

    /// Wakes everybody who waits: a last frame, then the end.
    func close() {
        closing.lock()
        state.withLock { $0.isClosing = true }
        closing.broadcast()
        closing.unlock()
    }

    private var isClosing: Bool { state.withLock { $0.isClosing } }
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
