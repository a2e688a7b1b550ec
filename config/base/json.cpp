// SPDX-License-Identifier: Apache-2.0
// Boost.JSON's one definition: nothing links libboost_json, so the plugin needs libstdc++ alone.
#include <boost/json/src.hpp>
