{
    'name': 'IM Bus',
    'version': '1.0',
    'depends': ['base', 'web'],
    'installable': True,
    'auto_install': True,
}
