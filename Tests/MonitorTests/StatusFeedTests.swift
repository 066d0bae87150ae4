import Synchronization
import Testing

@testable import Federation
@testable import Monitor

/// What stands between the coordinator and all who look.
@Suite struct StatusFeedTests {
    /// A coordinator that answers when it is told to.
    private final class SlowRun: Sendable {
        /// Told each time that it is asked.
        let asked: AsyncStream<Void>
        private let ask: AsyncStream<Void>.Continuation
        private let waiting = Mutex<[CheckedContinuation<RunPicture, Never>]>([])
        let count = Mutex(0)

        init() { (asked, ask) = AsyncStream<Void>.makeStream() }

        func picture() async -> RunPicture {
            count.withLock { $0 += 1 }
            return await withCheckedContinuation { continuation in
                waiting.withLock { $0.append(continuation) }
                ask.yield()
            }
        }

        /// Answers all who wait.
        func answer(_ state: String = "running") {
            let waiting = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            for each in waiting { each.resume(returning: StatusServerTests.picture(StatusServerTests.status(state))) }
        }
    }

    @Test func manyWhoLookAskOnce() async throws {
        let run = SlowRun()
        let feed = StatusFeed(patience: .seconds(StatusServerTests.patienceSeconds)) { await run.picture() }
        let answering = Task { for await _ in run.asked { run.answer() } }
        let numbers = await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<50 { group.addTask { await feed.frame()?.number } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        answering.cancel()
        #expect(numbers == [Int?](repeating: 1, count: 50))
        // Fewer than who looked; one, unless this takes longer than an answer is good for.
        #expect(run.count.withLock { $0 } < 25)
    }

    @Test func whoIsCancelledDoesNotWait() async throws {
        let run = SlowRun()
        let feed = StatusFeed(patience: .seconds(3600)) { await run.picture() }
        let looking = Task { await feed.picture() }
        for await _ in run.asked { break }
        looking.cancel()
        let found = await looking.value
        #expect(found == nil)
        run.answer()
    }

    @Test func aCoordinatorThatTakesTooLongIsBusy() async throws {
        let run = SlowRun()
        let feed = StatusFeed(patience: .milliseconds(20)) { await run.picture() }
        let picture = await feed.picture()
        #expect(picture == nil)
        let frame = await feed.frame()
        #expect(frame == nil)
        run.answer()
    }

    /// The last frame is of a picture that was asked for after the end, whatever is still under way.
    @Test func closingAsksAnewAndWakes() async throws {
        let run = SlowRun()
        let feed = StatusFeed(patience: .seconds(3600)) { await run.picture() }
        let waiting = Task { await feed.nextMoment() }
        let looking = Task { await feed.picture() }
        for await _ in run.asked { break }
        await feed.close()
        #expect(await feed.nextMoment())
        // Either woken by the end, or by the moment before it.
        _ = await waiting.value
        let last = Task { await feed.picture()?.status.state }
        for await _ in run.asked { break }
        run.answer("finished")
        #expect(await last.value == "finished")
        #expect(await looking.value?.status.state == "finished")
        #expect(run.count.withLock { $0 } == 2)
    }
}
