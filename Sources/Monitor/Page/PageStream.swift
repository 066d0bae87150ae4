extension StatusPage {
    /// Follows `/events`, signs in where a token is wanted, and comes back after a break.
    static let streamScript = #"""
        // Of this tab alone; a browser may forbid even that, and the token is then asked for again.
        const store = {
          get: () => { try { return sessionStorage.getItem("pleach-token"); } catch { return null; } },
          set: token => { try { sessionStorage.setItem("pleach-token", token); } catch { return; } },
        };
        let token = store.get();
        const ask = (path, signal) => fetch(path, { cache: "no-store", credentials: "omit", signal,
          headers: token ? { Authorization: "Bearer " + token } : {} });
        const sleep = ms => new Promise(done => setTimeout(done, ms));
        function link(text, kind) { put("link", text); at("link").className = "tag " + kind; }

        // Asks for the token until one is right.
        function signIn(wasWrong) {
          link("locked", "warn");
          at("main").hidden = true;
          at("entry").hidden = false;
          put("entry-answer", wasWrong ? "That is not the token." : "");
          at("token").focus();
          return new Promise(done => at("entry").addEventListener("submit", event => {
            event.preventDefault();
            token = at("token").value.trim();
            at("token").value = "";
            store.set(token);
            at("entry").hidden = true;
            done();
          }, { once: true }));
        }

        // Server-sent events, read by hand: EventSource cannot bring a token.
        async function* events(body) {
          const reader = body.pipeThrough(new TextDecoderStream()).getReader();
          let rest = "";
          for (;;) {
            const { value, done } = await reader.read();
            if (done) return;
            const parts = (rest + value).split("\n\n");
            rest = parts.pop();
            for (const part of parts) {
              const lines = part.split("\n");
              const field = key => lines.find(l => l.startsWith(key + ": "))?.slice(key.length + 2);
              yield { name: field("event"), data: field("data") };
            }
          }
        }

        function take(event) {
          if (event.name === "live") {
            at("main").hidden = false;
            showLive(JSON.parse(event.data));
          } else if (event.name === "course") {
            at("main").hidden = false;
            showCourse(JSON.parse(event.data));
          }
          return event.name === "end";
        }

        // Follows the run until it is over; a broken connection is taken up again, after longer and longer pauses.
        async function follow() {
          let pause = 1000, wasAsked = false;
          for (;;) {
            const silence = new AbortController();
            let watch = setTimeout(() => silence.abort(), 20000);
            let isOver = false;
            try {
              const answer = await ask("/events", silence.signal);
              if (answer.status === 401) {
                clearTimeout(watch);
                await signIn(wasAsked);
                wasAsked = true;
                continue;
              }
              wasAsked = false;
              if (answer.status === 503) {
                const view = await ask("/view.json");
                if (view.ok) {
                  const { live, course } = await view.json();
                  take({ name: "live", data: JSON.stringify(live) });
                  take({ name: "course", data: JSON.stringify(course) });
                  link("every 10 s", "good");
                }
                clearTimeout(watch);
                await sleep(10000);
                continue;
              }
              if (!answer.ok) throw new Error("status " + answer.status);
              link("live", "good");
              pause = 1000;
              for await (const event of events(answer.body)) {
                clearTimeout(watch);
                watch = setTimeout(() => silence.abort(), 20000);
                if (take(event)) { isOver = true; break; }
              }
            } catch { /* told below */ }
            clearTimeout(watch);
            if (isOver && live && live.state === "finished") break;
            link("no connection; what is shown may be old", "bad");
            await sleep(pause);
            pause = Math.min(2 * pause, 15000);
          }
          clearInterval(ticking);
          link("the coordinator has ended", "soft");
        }
        follow();
        """#
}
