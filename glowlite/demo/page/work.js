// The queue to the worker: one request is out at a time, and the most urgent goes next.
//
// A request has a slot ("subject", "sample-3"); a new one takes the place of one that waits in the
// same slot, so that what is outdated is never sent and a slider follows the finger.

const URGENCY = {subject: 0, before: 1, bits: 2, influence: 2, map: 3, sample: 4, other: 5};

const waiting = new Map(); // slot -> {urgency, message, answered}
let out = null; // the request that the worker has
let nextId = 1;
let worker = null;
let workerReady = false;
const decodeTimes = []; // milliseconds of the last pictures

function ask(slot, urgency, message, answered) {
  waiting.set(slot, {slot, urgency, message, answered});
  sendNext();
}

function forget(beginning) {
  for (const slot of [...waiting.keys()]) if (slot.startsWith(beginning)) waiting.delete(slot);
}

function isAsked(slot) {
  return waiting.has(slot) || (out !== null && out.slot === slot);
}

function sendNext() {
  if (!workerReady || out !== null || waiting.size === 0) return;
  let next = null;
  for (const request of waiting.values()) {
    if (next === null || request.urgency < next.urgency) next = request;
  }
  waiting.delete(next.slot);
  out = {...next, id: nextId++};
  worker.postMessage({id: out.id, ...out.message});
}

function onAnswer(answer) {
  if (answer.ready) {
    workerReady = true;
    sendNext();
    return;
  }
  if (out === null || answer.id !== out.id) return;
  const request = out;
  out = null;
  if (answer.error !== undefined) {
    note(`The model could not do this: ${answer.error}`);
  } else {
    if (request.message.kind === "picture") decodeTimes.push(answer.milliseconds);
    if (decodeTimes.length > 20) decodeTimes.shift();
  }
  // the next is sent first, so that the worker computes while the page draws
  const newest = !waiting.has(request.slot);
  sendNext();
  request.answered(answer, newest);
}

function startWorker() {
  const source = new Blob([byId("worker").textContent], {type: "text/javascript"});
  worker = new Worker(URL.createObjectURL(source));
  worker.onmessage = (event) => onAnswer(event.data);
  worker.onerror = (event) => note(`The model stopped: ${event.message}`, 600);
  worker.postMessage({model, weights: byId("weights").textContent.trim()});
  byId("weights").remove(); // several megabytes, once in memory is enough
}
