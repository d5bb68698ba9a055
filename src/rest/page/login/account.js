/** The view of people who are signed in: organizations, password and sessions. Second factors are in factors.js. */
import { auth, graphql, switchOrganization } from '../shared/api.js'
import { announce, attempt, inputOf, onClick, one, onSubmit, when } from '../shared/view.js'
import { deviceOf } from './device.js'
import { showPasskeys, showTotp } from './factors.js'
import { item, show } from './view.js'

/** @param {import('./main.js').User} user */
export async function showAccount(user) {
  const view = show('account', { name: user.name, email: user.email })
  /** @param {string} name */
  const section = (name) => one(view, `section[data-list="${name}"], section[data-part="${name}"]`)
  if (document.body.dataset.graphiql !== 'true') one(view, '[data-graphiql-only]').remove()
  onClick(one(view, '[data-action="sign-out"]'), signOut)
  changePassword(section('password'), user)
  // Each loads by itself, so that a failure of one leaves the others usable.
  await Promise.all([
    attempt(section('organizations'), () => showOrganizations(section('organizations'))),
    attempt(section('totp'), () => showTotp(section('totp'))),
    attempt(section('passkeys'), () => showPasskeys(section('passkeys'))),
    attempt(section('sessions'), () => showSessions(section('sessions'))),
  ])
}

async function signOut() {
  await auth('logout')
  location.replace('/login')
}

/** @param {HTMLElement} section */
async function showOrganizations(section) {
  const { organizations } = await graphql('{ organizations(first: 100) { nodes { id name slug } } }')
  if (organizations.nodes.length === 0) return one(section, 'ul').replaceWith('You are not a member of an organization.')
  const { viewer } = await graphql('{ viewer { organization { id } } }')
  const items = organizations.nodes.map((/** @type {{ id: string, name: string, slug: string }} */ { id, name, slug }) => {
    const current = id === viewer.organization.id
    const button = current ? null : { text: 'Switch', label: `Switch to ${name}`, act: () => switchTo(section, { id, name }) }
    return item({ name, detail: current ? `${slug}, current` : slug, button })
  })
  one(section, 'ul').replaceChildren(...items)
}

/** @param {HTMLElement} section @param {{ id: string, name: string }} organization */
async function switchTo(section, { id, name }) {
  await switchOrganization(id)
  await showOrganizations(section)
  one(section, 'h2').focus()
  announce(`${name} is now your current organization.`)
}

/** @param {HTMLElement} section @param {import('./main.js').User} user */
function changePassword(section, { email }) {
  const form = /** @type {HTMLFormElement} */ (one(section, 'form'))
  inputOf(form, 'email').defaultValue = email
  onSubmit(form, async ({ currentPassword, newPassword }) => {
    await graphql('mutation ($input: ChangePasswordInput!) { changePassword(input: $input) { user { id } } }', {
      input: { currentPassword, newPassword },
    })
    form.reset()
    announce('Your password is changed.')
  })
}

/** @typedef {{ id: string, ipAddress: string | null, userAgent: string | null, current: boolean, lastUsedAt: string }} Session */

/** @param {HTMLElement} section */
async function showSessions(section) {
  const { sessions } = await graphql('{ sessions { id ipAddress userAgent current lastUsedAt } }')
  const items = sessions.map((/** @type {Session} */ { id, ipAddress, userAgent, current, lastUsedAt }) => {
    const name = deviceOf(userAgent)
    const detail = `${ipAddress ?? 'unknown address'}, ${current ? 'this session' : `last used ${when(lastUsedAt)}`}`
    return item({
      name,
      detail,
      button: current ? null : { text: 'Revoke', label: `Revoke the session of ${name}, ${detail}`, act: () => revoke(section, id) },
    })
  })
  one(section, 'ul').replaceChildren(...items)
}

/** @param {HTMLElement} section @param {string} id */
async function revoke(section, id) {
  await graphql('mutation ($id: ID!) { revokeSession(input: { id: $id }) { deletedId } }', { id })
  await showSessions(section)
  one(section, 'h2').focus()
  announce('The session is revoked.')
}
