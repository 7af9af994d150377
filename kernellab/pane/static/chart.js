// A small chart: bytes by tag against virtual time, as steps.
import { element, plural } from "./text.js";

const CHART_WIDTH = 640;
const CHART_HEIGHT = 120;
const CHART_LEFT = 64;
const CHART_FOOT = 18;
const CHART_TOP = 8;
const CHART_DASHES = ["", "6 3", "2 3", "9 3 2 3", "12 4", "1 2"];
const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

function svgElement(tag, attributes, text = "") {
  const made = document.createElementNS(SVG_NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text) made.textContent = text;
  return made;
}

function byteCount(count) {
  if (count < 10_000) return `${count.toLocaleString("en-US")} B`;
  return count < 10_000_000 ? `${Math.round(count / 1024).toLocaleString("en-US")} KB`
    : `${Math.round(count / (1 << 20)).toLocaleString("en-US")} MB`;
}

function timeSpan(seconds) {
  if (seconds >= 1) return `${seconds.toFixed(3)} s`;
  return seconds >= 1e-3 ? `${(seconds * 1e3).toFixed(3)} ms` : `${(seconds * 1e6).toFixed(1)} µs`;
}

// `tags` are {tag, bytes, peak, course: [[seconds, bytes], …]}; null where there is nothing to draw.
export function poolChart(tags) {
  const courses = tags.filter((tag) => tag.course.length > 1);
  if (!courses.length) return null;
  const times = courses.flatMap((tag) => tag.course.map(([time]) => time));
  const first = Math.min(...times);
  const last = Math.max(...times);
  const most = Math.max(1, ...courses.map((tag) => tag.peak));
  const x = (time) => CHART_LEFT + ((time - first) / (last - first || 1)) * (CHART_WIDTH - CHART_LEFT - 8);
  const y = (bytes) => CHART_TOP + (1 - bytes / most) * (CHART_HEIGHT - CHART_TOP - CHART_FOOT);
  const words = courses.map((tag) => `${tag.tag} ${plural(tag.bytes, "byte")} now, ${tag.peak.toLocaleString("en-US")} at most`);
  const svg = svgElement("svg", {
    viewBox: `0 0 ${CHART_WIDTH} ${CHART_HEIGHT}`, role: "img", class: "pool-chart",
    "aria-label": `Pool over virtual time: ${words.join("; ")}`,
  });
  for (const [bytes, label] of [[0, "0"], [most / 2, ""], [most, byteCount(most)]]) {
    svg.append(svgElement("line", { class: "grid", x1: CHART_LEFT, x2: CHART_WIDTH - 8, y1: y(bytes), y2: y(bytes) }));
    if (label) svg.append(svgElement("text", { x: CHART_LEFT - 6, y: y(bytes) + 4, "text-anchor": "end" }, label));
  }
  svg.append(svgElement("text", { x: CHART_LEFT, y: CHART_HEIGHT - 4 }, `at ${timeSpan(first)}`));
  svg.append(svgElement("text", { x: CHART_WIDTH - 8, y: CHART_HEIGHT - 4, "text-anchor": "end" }, `now, ${timeSpan(last - first)} later`));
  courses.forEach((tag, at) => {
    let path = "";
    for (const [time, bytes] of tag.course) {
      path += path ? `H${x(time).toFixed(1)}V${y(bytes).toFixed(1)}` : `M${x(time).toFixed(1)} ${y(bytes).toFixed(1)}`;
    }
    const line = svgElement("path", { d: path, class: `course course-${at}`, "stroke-dasharray": CHART_DASHES[at % CHART_DASHES.length] });
    line.append(svgElement("title", {}, words[at]));
    svg.append(line);
  });
  return element("div", { class: "pool" }, svg, chartLegend(courses));
}

function chartLegend(courses) {
  const keys = courses.map((tag, at) => {
    const sample = svgElement("svg", { viewBox: "0 0 28 8", width: 28, height: 8, "aria-hidden": "true" });
    sample.append(svgElement("path", {
      d: "M0 4H28", class: `course course-${at}`, "stroke-dasharray": CHART_DASHES[at % CHART_DASHES.length],
    }));
    return element("span", { class: "key" }, sample, element("code", { text: tag.tag }));
  });
  return element("div", { class: "legend" }, ...keys);
}
