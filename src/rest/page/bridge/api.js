/** Requests of the page. A session that has ended leads to /login, and from there back to this page. */
import { graphql, isSignedOut, Problem, sendRefreshed } from '../shared/api.js'

/** @template Result @param {() => Promise<Result>} request @returns {Promise<Result>} */
async function orSignIn(request) {
  try {
    return await request()
  } catch (error) {
    if (!isSignedOut(error)) throw error
    location.replace(`/login?return=${encodeURIComponent('/bridge')}`)
    // The page is being left.
    return new Promise(() => {})
  }
}

/** Runs a GraphQL operation. @param {string} query @param {Record<string, unknown>} [variables] @returns {Promise<any>} the data */
export const ask = (query, variables) => orSignIn(() => graphql(query, variables))

/**
 * Sends a request to the bridge.
 * @param {string} method @param {string} path @param {object} [body] @returns {Promise<any>} the data
 */
export const call = (method, path, body) =>
  orSignIn(async () => {
    const { response, answer } = await sendRefreshed(path, { method, body })
    if (answer?.success) return answer.data
    const message = answer?.error ?? `The server answered with status ${response.status}. Try again later.`
    throw new Problem(message, { code: answer?.code, field: /^([a-z_]+): /.exec(message)?.[1], status: response.status })
  })
