/**
 * Requests to the server. The session is in cookies that scripts can't read: the access token, which every request carries, and the refresh
 * token, which only /api/auth receives. Nothing is stored here.
 */

/** A refusal, with a text for people. `field` names the input that it is about. */
export class Problem extends Error {
  /** @param {string} message @param {{ code?: string, field?: string, status?: number }} [details] */
  constructor(message, { code, field, status } = {}) {
    super(message)
    this.code = code
    this.field = field
    this.status = status
  }
}

/** @param {unknown} error */
export const isSignedOut = (error) => error instanceof Problem && error.status === 401

/**
 * Calls /api/auth.
 * @param {string} path @param {object} [body] @returns {Promise<any>} the answer's body
 */
export async function auth(path, body = {}) {
  const { response, answer } = await send(`/api/auth/${path}`, { body })
  if (response.ok) return answer
  const { code, message, details } = answer?.error ?? {}
  throw new Problem(message ?? `The server answered with status ${response.status}. Try again later.`, {
    code,
    field: details?.field,
    status: response.status,
  })
}

/**
 * Runs a GraphQL operation. An access token that has expired is refreshed first.
 * @param {string} query @param {Record<string, unknown>} [variables] @returns {Promise<any>} the data
 */
export async function graphql(query, variables = {}) {
  const { response, answer } = await sendRefreshed('/graphql', { body: { query, variables } })
  const error = answer?.errors?.[0]
  if (response.ok && !error) return answer.data
  const { code, field } = error?.extensions ?? {}
  throw new Problem(error?.message ?? `The server answered with status ${response.status}. Try again later.`, {
    code,
    field,
    status: response.status,
  })
}

/** Makes an organization the current one. @param {string} id */
export const switchOrganization = (id) =>
  graphql('mutation ($id: ID!) { switchOrganization(input: { organizationId: $id }) { organization { id } } }', { id })

/** @typedef {{ method?: string, body?: object }} Request */

/**
 * Sends a request. If the access token has expired, it is refreshed, and the request sent again.
 * @param {string} path @param {Request} request
 */
export async function sendRefreshed(path, request) {
  const sent = await send(path, request)
  if (sent.response.status !== 401) return sent
  await refresh()
  return send(path, request)
}

/** @param {string} path @param {Request} request */
async function send(path, { method = 'POST', body }) {
  const headers = { accept: 'application/json', ...(body && { 'content-type': 'application/json' }) }
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: 'no-store' }).catch(() => {
    throw new Problem('The server cannot be reached. Check your connection, then try again.')
  })
  return { response, answer: await response.json().catch(() => null) }
}

const lockName = 'quayside-refresh'

/** @type {Promise<void> | null} */
let refreshing = null

/** Renews the session, once for all requests that wait for it. */
const refresh = () =>
  (refreshing ??= refreshAlone().finally(() => {
    refreshing = null
  }))

/**
 * Sends one request at a time over all tabs, since a refresh token is used only once. If another tab is sending one, waits for that instead.
 * Browsers offer locks over TLS and on localhost only.
 */
async function refreshAlone() {
  const renew = () => auth('refresh')
  if (!navigator.locks) return renew()
  const mine = await navigator.locks.request(lockName, { ifAvailable: true }, (lock) => lock && renew())
  if (mine === null) await navigator.locks.request(lockName, () => {})
}
