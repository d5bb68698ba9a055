import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { splitRepositoryUrl, validateBranch, validateRepositoryUrl } from '../../src/platform/repository-url.ts'

describe('splitRepositoryUrl', () => {
  it.each([
    ['https://ada:s3cret@host/a.git', 'https://host/a.git', { username: 'ada', password: 's3cret' }],
    ['https://tok123@host/a.git', 'https://host/a.git', { username: 'tok123', password: '' }],
    ['HTTP://ada:p%40ss%3Aword@host:8080/a', 'HTTP://host:8080/a', { username: 'ada', password: 'p@ss:word' }],
    ['https://ada:p@ss@host/a', 'https://host/a', { username: 'ada', password: 'p@ss' }],
    ['https://ada:100%@host/a', 'https://host/a', { username: 'ada', password: '100%' }],
    ['https://:tok@host/a', 'https://host/a', { username: '', password: 'tok' }],
    ['https://@host/a', 'https://host/a', null],
  ])('extracts the credential from %s', (text, url, credential) => {
    expect(splitRepositoryUrl(text)).toEqual({ url, credential })
  })

  it.each(['https://host/a@b', 'git@host:a/b.git', 'ssh://git@host/a', '/srv/a', 'file:///srv/a@b', 'nonsense', ''])(
    'leaves %j as it is',
    (text) => {
      expect(splitRepositoryUrl(text)).toEqual({ url: text, credential: null })
    },
  )

  it('does not extract a credential that git cannot use, so that the URL is refused', () => {
    const text = 'https://ada:a%0Ab@host/a.git'
    expect(splitRepositoryUrl(text)).toEqual({ url: text, credential: null })
    expect(validateRepositoryUrl(text)).toMatch(/credentials/)
  })
})

describe('validateRepositoryUrl', () => {
  it.each([
    'https://host/a.git',
    'https://host:8443/a/b',
    'http://127.0.0.1:3000/a',
    'http://[::1]:3000/a',
    'ssh://git@host/a.git',
    'ssh://git@host:2222/~/a.git',
    'ssh://host/a',
    'ssh://git@[::1]:22/a',
    'git@host:a/b.git',
    'git@[::1]:a/b.git',
    'file:///srv/a.git',
    'file:///srv/with%20space',
    '/srv/a.git',
    '/srv/with space',
  ])('accepts %s', (text) => {
    expect(validateRepositoryUrl(text)).toBeNull()
  })

  it.each([
    ['', /empty/],
    ['-uevil', /begins with "-"/],
    ['--upload-pack=touch /tmp/x', /begins with "-"/],
    ['ext::sh -c touch% /tmp/x', /helper/],
    ['fd::17', /helper/],
    ['foo-1::https://host/a', /helper/],
    ['::https://host/a', /helper/],
    ['https://host/a\nb', /control/],
    ['https://host/\u0000a', /control/],
    ['/srv/a\tb', /control/],
    ['file:///srv/a%0Ab', /control/],
    ['git://host/a', /git:\/\/ is not supported/],
    ['ftp://host/a', /ftp:\/\/ is not supported/],
    ['javascript://host/a', /not supported/],
    ['host:a/b', /no supported scheme/],
    ['C:\\a', /no supported scheme/],
    ['relative/path', /no supported scheme/],
    ['../up', /no supported scheme/],
    [' https://host/a', /space/],
    ['https://host/a b', /space/],
    ['https://host\\@evil/a', /backslash/],
    ['https://', /cannot be parsed/],
    ['https://host', /no repository/],
    ['https://host:99999/a', /cannot be parsed/],
    ['https://host:0/a', /port/],
    ['https://host./a', /dot/],
    ['https://host/a?x=1', /query/],
    ['https://host/a#x', /fragment/],
    ['https://user:pw@host/a', /credentials/],
    ['ssh://git:pw@host/a', /password in an ssh URL/],
    ['ssh://-oProxyCommand=x/a', /host/],
    ['ssh://-oProxyCommand=x@host/a', /user/],
    ['ssh://git@host:70000/a', /port/],
    ['ssh://git@host/', /path/],
    ['ssh://git@host/-a', /path/],
    ['git@-host:a', /host/],
    ['-git@host:a', /begins with "-"/],
    ['git@host:-a', /path/],
    ['file://host/a', /three slashes/],
    ['file:relative', /no supported scheme/],
    [`https://host/${'a'.repeat(2100)}`, /longer/],
  ])('refuses %j', (text, reason) => {
    expect(validateRepositoryUrl(text)).toMatch(reason)
  })
})

describe('validateBranch', () => {
  const valid = ['main', 'feature/a', 'v1.0', 'a-b', 'a@b', 'ümlaut', 'a{b', 'a.b.c', 'x/@', "it's", 'a"b', 'a;b', '$(x)', 'head']
  const invalid = [
    ...['', '-a', '--all', 'a b', 'a~1', 'a^', 'a:b', 'a?', 'a*', 'a[b', 'a\\b', 'a..b', 'a@{1}', '/a', 'a/', 'a//b', 'a.', '.a'],
    ...['a/.b', 'a.lock', 'a.lock/b', 'a\nb', 'a\u007f', 'a\tb'],
  ]

  it.each(valid)('accepts %j', (name) => {
    expect(validateBranch(name)).toBeNull()
  })

  it.each(invalid)('refuses %j', (name) => {
    expect(validateBranch(name)).toMatch(/name/)
  })

  it.each(['HEAD', '@'])('refuses %s, which git resolves to the current checkout', (name) => {
    expect(validateBranch(name)).toMatch(/not the name of a branch/)
  })

  it('refuses a name of more than 255 bytes', () => {
    expect(validateBranch('ü'.repeat(128))).toMatch(/longer than 255/)
  })

  it('agrees with git check-ref-format on every one of these names', () => {
    const byGit = [...valid, ...invalid].map((name) => spawnSync('git', ['check-ref-format', '--branch', name], { cwd: '/' }).status === 0)
    const byUs = [...valid, ...invalid].map((name) => validateBranch(name) === null)
    expect(byUs).toEqual(byGit)
  })
})
