/* Asks for this very page again and swaps its main part, so that the place, the search text and what
 * was opened stay. Without this script the page reloads itself. */
(() => {
	"use strict";
	const EVERY_MS = 2000;
	const live = document.getElementById("live");
	const search = document.getElementById("search");
	let timer, asked = 0, lostAt = null;

	const clock = (date) => date.toLocaleTimeString([], {hour12: false});

	function keep(main) {
		const open = new Map(), left = new Map();
		main.querySelectorAll("details[id]").forEach((d) => open.set(d.id, d.open));
		main.querySelectorAll(".scroll[id]").forEach((s) => left.set(s.id, s.scrollLeft));
		const focused = main.contains(document.activeElement) && document.activeElement.href;
		return (fresh) => {
			fresh.querySelectorAll("details[id]").forEach((d) => { d.open = open.get(d.id) || false; });
			fresh.querySelectorAll(".scroll[id]").forEach((s) => { s.scrollLeft = left.get(s.id) || 0; });
			if (focused) {
				const link = [...fresh.querySelectorAll("a")].find((a) => a.href === focused);
				if (link) link.focus({preventScroll: true});
			}
		};
	}

	/* Somebody is marking text: it must not go away under the mouse. */
	function isSelecting(main) {
		const selection = getSelection();
		return !selection.isCollapsed && main.contains(selection.anchorNode);
	}

	function swap(text) {
		const page = new DOMParser().parseFromString(text, "text/html");
		const main = document.getElementById("main"), fresh = page.getElementById("main");
		if (!fresh || isSelecting(main)) return;
		const restore = keep(main);
		main.replaceWith(fresh);
		restore(fresh);
		document.title = page.title;
	}

	function say(error) {
		if (!error) lostAt = null;
		else if (!lostAt) lostAt = new Date();
		live.className = error ? "lost" : "";
		live.textContent = error ? "crowflyd does not answer since " + clock(lostAt) : clock(new Date());
	}

	async function refresh() {
		const turn = ++asked;
		clearTimeout(timer);
		try {
			const answer = await fetch(location.href, {cache: "no-store", signal: AbortSignal.timeout(5000)});
			const text = await answer.text();
			if (turn !== asked) return;
			swap(text);
			say(null);
		} catch (error) {
			if (turn !== asked) return;
			say(error);
		}
		timer = setTimeout(refresh, EVERY_MS);
	}

	let typed;
	search.addEventListener("input", () => {
		clearTimeout(typed);
		typed = setTimeout(() => {
			const url = new URL(location.href);
			url.searchParams.delete("page");
			if (search.value) url.searchParams.set("q", search.value);
			else url.searchParams.delete("q");
			history.replaceState(null, "", url);
			refresh();
		}, 150);
	});
	document.addEventListener("keydown", (event) => {
		if (event.key !== "/" || event.target === search) return;
		event.preventDefault();
		search.focus();
	});
	document.addEventListener("visibilitychange", () => {
		if (document.hidden) clearTimeout(timer);
		else refresh();
	});
	say(null);
	timer = setTimeout(refresh, EVERY_MS);
})();
