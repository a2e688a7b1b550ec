// SPDX-License-Identifier: Apache-2.0
// Asio's one definition (BOOST_ASIO_SEPARATE_COMPILATION everywhere).
#include <boost/asio/impl/src.hpp>
