"""Plain data as YAML that `yaml_reading.parse_yaml` reads back exactly."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, ScalarNode
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import VersionedResolver

from tuneexp.files.yaml_reading import CoreResolver

# Texts that need no quotes. ruamel.yaml leaves out some that it needs itself, such as those of {':0': 1}.
_PLAIN = re.compile(r"[A-Za-z0-9_/.](?:[A-Za-z0-9_/.=+@-]|[: ](?=[A-Za-z0-9_/]))*")


def yaml_text(values: Mapping[str, Any]) -> str:
    """Return `values` as YAML. Values below the second level are written on one line."""
    representer = _Representer()
    representer.sort_base_mapping_type_on_output = False
    node = representer.represent_data(dict(values))
    _set_style(node, 0)
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver, yaml.width, yaml.allow_unicode = _CautiousResolver, 100, True
    stream = io.StringIO()
    yaml.serialize(node, stream)
    return stream.getvalue()


class _CautiousResolver(CoreResolver):
    """Quotes texts that YAML 1.1 or 1.2 reads as another type, such as 1e5 and on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._others = [_OfVersion((1, 1)), _OfVersion((1, 2))]

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        tags = [super().resolve(kind, value, implicit)]
        tags += [other.resolve(kind, value, implicit) for other in self._others]
        return next((tag for tag in tags if tag != self.DEFAULT_SCALAR_TAG), tags[0])


class _OfVersion(VersionedResolver):
    @property
    def processing_version(self) -> Any:
        return self._loader_version


class _Representer(SafeRepresenter):
    """Writes no aliases, and 1e-05 as 1.0e-05, which is a number in YAML 1.1, too."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_float(self, data: Any) -> ScalarNode:
        node = super().represent_float(data)
        if "." not in node.value:
            node.value = node.value.replace("e", ".0e", 1)
        return node


_Representer.add_representer(float, _Representer.represent_float)


def _set_style(node: Any, depth: int) -> None:
    if isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:str" and not _PLAIN.fullmatch(node.value):
        node.style = "'" if node.value.isprintable() else '"'  # other styles fold some line breaks into spaces
    if isinstance(node, CollectionNode):
        parts = [pair[1] for pair in node.value] if isinstance(node, MappingNode) else node.value
        lines = isinstance(node, MappingNode) and depth < 2
        lines |= depth < 3 and any(isinstance(part, MappingNode) for part in parts)
        node.flow_style = not (lines and parts)
        keys = [pair[0] for pair in node.value] if isinstance(node, MappingNode) else []
        for part in (*keys, *parts):
            _set_style(part, depth + 1 if not node.flow_style else 9)
