// @ts-check
/**
 * For receivers of Quayside's webhooks: `verify` verifies a request according to Standard Webhooks 1.0 and returns its typed event.
 * Plain JavaScript, because Node does not strip types below node_modules. index.d.ts is generated.
 */
import { createPublicKey, verify as verifyBytes } from 'node:crypto'
import { Webhook } from 'svix'
import { types } from './catalogue.js'

/** The signature or timestamp of a request is not valid, or the body is not an event. */
export class WebhookVerificationError extends Error {
  name = 'WebhookVerificationError'
}

/** Names of all event types known to this version of the module. */
export const eventTypes = Object.freeze(Object.keys(types))

const known = new Set(eventTypes)
const toleranceSeconds = 300

/**
 * Verifies a request and returns its event. An event of an unknown type is returned as `{ type: 'unknown', … }` with its type in
 * `originalType`. Throws a WebhookVerificationError if the request is not valid or its body is not an event, and a TypeError if the body
 * is parsed or the secret is missing or malformed.
 * @param {unknown} rawBody body as received, as bytes or a string, not parsed JSON
 * @param {RequestHeaders} headers headers of the request
 * @param {string | readonly string[]} secret `whsec_…`, or `whpk_…` with Ed25519. During a rotation, pass several.
 */
export function verify(rawBody, headers, secret) {
  const body = bytesOf(rawBody)
  const checks = (Array.isArray(secret) ? secret : [secret]).map(checkOf)
  if (checks.length === 0) throw new TypeError('No secret was given.')
  const signed = signedHeaders(headers)
  /** @type {unknown} */
  let refusal
  for (const check of checks) {
    try {
      check(body, signed)
      return eventOf(body)
    } catch (error) {
      refusal = error
    }
  }
  throw refusal
}

/** @param {unknown} rawBody @returns {Buffer} */
function bytesOf(rawBody) {
  if (typeof rawBody === 'string') return Buffer.from(rawBody)
  if (rawBody instanceof Uint8Array) return Buffer.from(rawBody.buffer, rawBody.byteOffset, rawBody.byteLength)
  if (rawBody instanceof ArrayBuffer) return Buffer.from(rawBody)
  throw new TypeError('verify takes the raw body, as bytes or text. Parsed JSON cannot be verified, because the original bytes are lost.')
}

const names = /** @type {const} */ (['webhook-id', 'webhook-timestamp', 'webhook-signature'])

/** @typedef {Record<typeof names[number], string>} Signed */

/** Accepts `Headers` of any library. @typedef {{ get(name: string): string | null } | Record<string, string | string[] | undefined>} RequestHeaders */

/** @param {RequestHeaders} headers @returns {(name: string) => unknown} */
function readerOf(headers) {
  if (typeof headers.get === 'function') {
    const list = /** @type {{ get(name: string): string | null }} */ (headers)
    return (name) => list.get(name)
  }
  const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  return (name) => lower[name]
}

/** @param {RequestHeaders} headers @returns {Signed} */
function signedHeaders(headers) {
  const read = readerOf(headers)
  const entries = names.map((name) => {
    const value = read(name) ?? read(name.replace('webhook-', 'svix-'))
    if (typeof value !== 'string' || value === '') throw new WebhookVerificationError(`The header ${name} is missing.`)
    return [name, value]
  })
  return Object.fromEntries(entries)
}

/** Parses a secret, before anything of the request is read, and returns the check of a request with it. @param {unknown} secret @returns {(body: Buffer, headers: Signed) => void} */
function checkOf(secret) {
  if (typeof secret === 'string' && secret.startsWith('whsec_')) {
    const webhook = hmacOf(secret)
    return (body, headers) => checkHmac(body, headers, webhook)
  }
  if (typeof secret === 'string' && secret.startsWith('whpk_')) {
    const key = publicKeyOf(secret)
    return (body, headers) => checkEd25519(body, headers, key)
  }
  throw new TypeError('A secret must begin with whsec_ or whpk_.')
}

/** @param {string} secret */
function hmacOf(secret) {
  try {
    return new Webhook(secret)
  } catch (cause) {
    throw new TypeError('The secret is not valid: whsec_ must be followed by base64.', { cause })
  }
}

/** @param {Buffer} body @param {Signed} headers @param {Webhook} webhook */
function checkHmac(body, headers, webhook) {
  try {
    webhook.verify(body, headers)
  } catch (cause) {
    throw new WebhookVerificationError(cause instanceof Error ? cause.message : 'The signature is not valid.', { cause })
  }
}

/** SPKI prefix of an Ed25519 public key (RFC 8410, section 4). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')

/** @param {string} secret */
function publicKeyOf(secret) {
  const bytes = Buffer.from(secret.slice('whpk_'.length), 'base64')
  if (bytes.length !== 32) throw new TypeError('The secret is not valid: whpk_ must be followed by 32 bytes in base64.')
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, bytes]), format: 'der', type: 'spki' })
}

/** @param {Buffer} body @param {Signed} headers @param {import('node:crypto').KeyObject} key */
function checkEd25519(body, headers, key) {
  const seconds = Number(headers['webhook-timestamp'])
  if (!/^\d{1,12}$/.test(headers['webhook-timestamp'])) throw new WebhookVerificationError('The timestamp is not a number.')
  if (Math.abs(Date.now() / 1000 - seconds) > toleranceSeconds) throw new WebhookVerificationError('The timestamp is too far from now.')
  const text = Buffer.concat([Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), body])
  const good = headers['webhook-signature'].split(' ').some((part) => {
    const [version, signature] = part.split(',')
    return version === 'v1a' && signature !== undefined && verifyBytes(null, text, key, Buffer.from(signature, 'base64'))
  })
  if (!good) throw new WebhookVerificationError('No signature matches.')
}

/** @param {Buffer} body @returns {any} */
function eventOf(body) {
  const event = parsed(body)
  if (typeof event?.type !== 'string') throw new WebhookVerificationError('The body is not an event.')
  return known.has(event.type) ? event : { ...event, type: 'unknown', originalType: event.type }
}

/** @param {Buffer} body @returns {any} */
function parsed(body) {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (cause) {
    throw new WebhookVerificationError('The body is not JSON.', { cause })
  }
}
